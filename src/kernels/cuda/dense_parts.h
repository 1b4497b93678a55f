#pragma once
// What the kernels for few rows share. For .cu files.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/dense.h"

namespace trit::cuda {

// 16 bytes from global to shared memory in the background; zeros after the first `there` of them.
inline __device__ void copy_16(uint32_t to, const void* from, int there) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there)
               : "memory");
}
inline __device__ void end_of_stage() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kLeft>
__device__ void wait_for_stage() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// c += a b: 16 rows of weights, 16 inputs, 8 tokens.
template <class Half>
__device__ void multiply(float4& c, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                         uint32_t b1);
template <>
inline __device__ void multiply<__half>(float4& c, uint32_t a0, uint32_t a1, uint32_t a2,
                                        uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
template <>
inline __device__ void multiply<__nv_bfloat16>(float4& c, uint32_t a0, uint32_t a1, uint32_t a2,
                                               uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

inline __device__ float warp_sum(float v) {
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(~0u, v, apart);
  return v;
}

struct DenseArguments {
  Norm norm;
  const void* weights;
  int64_t rows, K;
  const float* x;
  int64_t x_stride;
  int T;
  Epilogue epilogue;
  float* y;
  int64_t y_stride;
};

// norm(x) of float32 rows: r of each row, then x r gain. Sums of squares in double, as a tree.
struct RowNorms {
  float r[kSmallRows];
};
inline __device__ double warp_sum(double v) {
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(~0u, v, apart);
  return v;
}
inline __device__ float4 load_four(const float* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 == 0) return *reinterpret_cast<const float4*>(p);
  return make_float4(p[0], p[1], p[2], p[3]);
}
inline __device__ double add_squares(float4 v, double sum) {
  const double x = v.x, y = v.y, z = v.z, w = v.w;
  return fma(w, w, fma(z, z, fma(y, y, fma(x, x, sum))));
}
// r, from the sums of a row's squares by a block's warps.
template <int kWarps>
__device__ float norm_factor(const DenseArguments& a, const double (&sums)[kWarps]) {
  double tree[kWarps];
#pragma unroll
  for (int i = 0; i < kWarps; ++i) tree[i] = sums[i];
#pragma unroll
  for (int apart = 1; apart < kWarps; apart *= 2)
#pragma unroll
    for (int i = 0; i < kWarps; i += 2 * apart) tree[i] += tree[i + apart];
  return static_cast<float>(
      rsqrt(tree[0] / static_cast<double>(a.K) + static_cast<double>(a.norm.epsilon)));
}
// Called by all threads of a block; the result is in shared memory. Without a norm it is not looked at. A thread's
// inputs: four out of each run of four times the threads.
template <int kWarps>
__device__ const RowNorms& row_norms(const DenseArguments& a) {
  __shared__ RowNorms norms;
  __shared__ double sums[kSmallRows][kWarps];
  if (!a.norm.there) return norms;
  const int K = static_cast<int>(a.K), warp = threadIdx.x / 32;
  for (int t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    double sum = 0.0;
#pragma unroll 8
    for (int k = threadIdx.x * 4; k < K; k += kWarps * 32 * 4) {
      float4 v{};
      if (k + 4 <= K) {
        v = load_four(x + k);
      } else {
        v.x = x[k];
        if (k + 1 < K) v.y = x[k + 1];
        if (k + 2 < K) v.z = x[k + 2];
      }
      sum = add_squares(v, sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[t][warp] = sum;
  }
  __syncthreads();
  if (threadIdx.x < a.T) norms.r[threadIdx.x] = norm_factor(a, sums[threadIdx.x]);
  __syncthreads();
  return norms;
}
// Value v at k of row t.
inline __device__ float normed(const DenseArguments& a, const RowNorms& norms, int t, int64_t k,
                               float v) {
  if (!a.norm.there) return v;
  v *= norms.r[t];
  return a.norm.gain != nullptr ? v * a.norm.gain[k] : v;
}
inline __device__ float4 gain_of_four(const DenseArguments& a, int64_t k) {
  return a.norm.gain != nullptr ? load_four(a.norm.gain + k) : make_float4(1.0f, 1.0f, 1.0f, 1.0f);
}
inline __device__ float4 normed(float r, float4 gain, float4 v) {
  return make_float4(v.x * r * gain.x, v.y * r * gain.y, v.z * r * gain.z, v.w * r * gain.w);
}

// The rows that a lane holds of a tile: two, `apart` from each other. A tile of a GLU epilogue is 8 rows of gate and
// the 8 of up that go with them.
struct TileRows {
  int64_t first;
  int apart;
};
inline __device__ TileRows tile_rows(Epilogue epilogue, int64_t tile, int g) {
  if (is_glu(epilogue)) return {tile / 2 * 32 + tile % 2 * 8 + g, 16};
  return {tile * 16 + g, 8};
}

}  // namespace trit::cuda
