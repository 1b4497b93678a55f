#pragma once
// Dense layers of float32 for up to eight rows at the speed of memory. For .cu files.
//
// A warp takes four rows, 128 inputs a step, four a lane. As in dense_half.h each lane copies what it multiplies
// itself into a queue in shared memory. Order of summation: a lane's inputs in their order; the lanes as a tree.

#include "kernels/cuda/dense_parts.h"

namespace trit::cuda {

constexpr int kSingleWarps = 8, kSingleRows = 4, kSingleStep = 128, kSingleStages = 6;
constexpr int kSingleStageBytes = kSingleRows * kSingleStep * 4;

inline __host__ __device__ int64_t single_x_stride(int64_t K) {
  return (K + kSingleStep - 1) / kSingleStep * kSingleStep;
}
inline int64_t single_shared_bytes(int64_t T, int64_t K) {
  return kSingleWarps * kSingleStages * kSingleStageBytes + T * single_x_stride(K) * 4;
}

// Row r of a group of four; of a GLU epilogue two of gate and the two of up that go with them.
inline __device__ int64_t single_row(Epilogue epilogue, int64_t group, int r) {
  if (!is_glu(epilogue)) return group * 4 + r;
  return group / 8 * 32 + group % 8 * 2 + r % 2 + r / 2 * 16;
}

// v[r]: the sums of row r and one token, in all lanes.
inline __device__ void store_four(const DenseArguments& a, int64_t group, int t,
                                  const float (&v)[kSingleRows]) {
  const int lane = threadIdx.x % 32;
  const bool paired = is_glu(a.epilogue);
  const int64_t n = group * (paired ? 2 : 4) + lane;
  if (lane >= (paired ? 2 : 4) || n >= (paired ? a.rows / 2 : a.rows)) return;
  float& out = a.y[t * a.y_stride + n];
  const float first = lane == 0 ? v[0] : lane == 1 ? v[1] : lane == 2 ? v[2] : v[3];
  if (paired)
    out = glu(a.epilogue, first, lane == 0 ? v[2] : v[3]);
  else
    out = a.epilogue == Epilogue::kAdd ? out + first : first;
}

__global__ void __launch_bounds__(kSingleWarps * 32)
    dense_single(const __grid_constant__ DenseArguments a) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const uint8_t* queue = shared + warp * kSingleStages * kSingleStageBytes + lane * 16;
  const auto queue_at = static_cast<uint32_t>(__cvta_generic_to_shared(queue));
  float* xs = reinterpret_cast<float*>(shared + kSingleWarps * kSingleStages * kSingleStageBytes);
  const auto* w = static_cast<const float*>(a.weights);
  const int64_t groups = (a.rows + kSingleRows - 1) / kSingleRows;
  const int64_t steps = (a.K + kSingleStep - 1) / kSingleStep;
  const int64_t first = groups * blockIdx.x / gridDim.x + warp;
  const int64_t last = groups * (blockIdx.x + 1) / gridDim.x;

  int64_t next_group = first, next_step = 0;
  int in = 0;
  const auto copy_next = [&] {
    if (next_group < last) {
      const int64_t k = next_step * kSingleStep + lane * 4;
#pragma unroll
      for (int r = 0; r < kSingleRows; ++r) {
        const int64_t row = single_row(a.epilogue, next_group, r);
        const bool there = row < a.rows && k < a.K;
        copy_16(queue_at + in * kSingleStageBytes + r * 512, there ? w + row * a.K + k : w,
                there ? 16 : 0);
      }
      if (++next_step == steps) {
        next_step = 0;
        next_group += kSingleWarps;
      }
      in = in + 1 == kSingleStages ? 0 : in + 1;
    }
    end_of_stage();
  };
#pragma unroll
  for (int i = 0; i < kSingleStages - 1; ++i) copy_next();

  wait_for_previous();
  const int64_t x_stride = single_x_stride(a.K);
  const RowNorms& norms = row_norms<kSingleWarps>(a);
  for (int t = 0; t < a.T; ++t)
#pragma unroll 8
    for (int64_t k = threadIdx.x; k < x_stride; k += kSingleWarps * 32)
      xs[t * x_stride + k] = k < a.K ? normed(a, norms, t, k, a.x[t * a.x_stride + k]) : 0.0f;
  __syncthreads();

  int out = 0;
  for (int64_t group = first; group < last; group += kSingleWarps) {
    float sums[kSmallRows][kSingleRows]{};
    for (int64_t step = 0; step < steps; ++step) {
      copy_next();
      wait_for_stage<kSingleStages - 1>();
      const auto* stage = reinterpret_cast<const float4*>(queue + out * kSingleStageBytes);
      const float4 v[kSingleRows] = {stage[0], stage[32], stage[64], stage[96]};
      const float* x = xs + step * kSingleStep + lane * 4;
#pragma unroll
      for (int t = 0; t < kSmallRows; ++t) {
        if (t >= a.T) break;
        const float4 xt = *reinterpret_cast<const float4*>(x + t * x_stride);
#pragma unroll
        for (int r = 0; r < kSingleRows; ++r) {
          float& sum = sums[t][r];
          sum = fmaf(v[r].x, xt.x, sum);
          sum = fmaf(v[r].y, xt.y, sum);
          sum = fmaf(v[r].z, xt.z, sum);
          sum = fmaf(v[r].w, xt.w, sum);
        }
      }
      out = out + 1 == kSingleStages ? 0 : out + 1;
    }
#pragma unroll
    for (int t = 0; t < kSmallRows; ++t) {
      if (t >= a.T) break;
#pragma unroll
      for (int r = 0; r < kSingleRows; ++r) sums[t][r] = warp_sum(sums[t][r]);
      store_four(a, group, t, sums[t]);
    }
  }
}

}  // namespace trit::cuda
