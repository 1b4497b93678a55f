#pragma once
// For .cu files: norms and quantisation of one row by the threads of a block, which keep it in registers. Used by
// linear_rows.cu and, in the prologue of a product, by linear_small.cu; both give the same bits, because the order of
// summation does not depend on the number of threads.
//
// A row is cut into strips of 128 elements, 4 a lane. Strip s belongs to virtual warp s % 32, whose lanes sum what
// they meet; the 32 virtual warps add their lanes, and then each other, as trees. A warp plays 32 / W of them, W = 8, 16
// or 32 warps.
//
// Doubles are few: converting to and from them takes four times as long as their arithmetic. Products with the
// factor of the norm are pairs of floats (an exact product, and what is missing), which round as the CPU's double does
// unless that lies within 2^-46 of the middle of two floats.

#include <cstdint>

#include "kernels/cuda/kernels.h"

namespace trit::cuda::rows {

inline constexpr int kStrip = 128, kVirtualWarps = 32;

// What the warps of a block tell each other about one row.
struct Exchange {
  double squares[2][kVirtualWarps];  // of the outer and the inner norm
  int32_t largest[kVirtualWarps], sums[kVirtualWarps];
};

// The part of a row that a thread of W warps keeps: strips warp, warp + W, ...
template <int W, int kStrips>
struct Row {
  static constexpr int kPlayed = kVirtualWarps / W;
  float4 v[kStrips];
  int K, first, lane, warp;  // first: the thread's first element

  __device__ int place(int i) const { return first + i * W * kStrip; }

  __device__ void load(const float* x, int columns, bool vectors) {
    lane = static_cast<int>(threadIdx.x) % 32;
    warp = static_cast<int>(threadIdx.x) / 32;
    K = columns;
    first = warp * kStrip + lane * 4;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) v[i] = four(x, place(i), vectors);
  }

  // Elements k..k + 3, zero past the row.
  __device__ float4 four(const float* x, int k, bool vectors) const {
    if (vectors && k + 4 <= K) return *reinterpret_cast<const float4*>(x + k);
    float4 f{};
    if (k < K) f.x = x[k];
    if (k + 1 < K) f.y = x[k + 1];
    if (k + 2 < K) f.z = x[k + 2];
    if (k + 3 < K) f.w = x[k + 3];
    return f;
  }

  // v = narrow(double(v) r gain), r = 1 / sqrt(mean of squares + epsilon).
  __device__ void normalise(const Norm& norm, double* squares) {
    const double part = 1.0 / static_cast<double>(K);
    double sum[kPlayed];
#pragma unroll
    for (int j = 0; j < kPlayed; ++j) sum[j] = 0;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      if (i * W * kStrip >= K) break;  // the same for all threads
      double& s = sum[i % kPlayed];
      const double a = v[i].x, b = v[i].y, c = v[i].z, d = v[i].w;
      s = fma(a, a, s);
      s = fma(b, b, s);
      s = fma(c, c, s);
      s = fma(d, d, s);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
#pragma unroll
      for (int j = 0; j < kPlayed; ++j) sum[j] += __shfl_xor_sync(~0U, sum[j], step);
    }
    if (lane == 0) {
#pragma unroll
      for (int j = 0; j < kPlayed; ++j) squares[warp + j * W] = sum[j];
    }
    const bool vectors = reinterpret_cast<uintptr_t>(norm.gain) % 16 == 0;
    constexpr bool kEarly = kStrips <= 4;  // gains on their way while the other warps arrive
    float4 gain[kEarly ? kStrips : 1];
    if (kEarly && norm.gain != nullptr) {
#pragma unroll
      for (int i = 0; i < kStrips; ++i) gain[kEarly ? i : 0] = four(norm.gain, place(i), vectors);
    }
    __syncthreads();
    double all = squares[lane];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) all += __shfl_xor_sync(~0U, all, step);
    const double r = rsqrt(fma(all, part, static_cast<double>(norm.epsilon)));
    const float high = static_cast<float>(r), low = static_cast<float>(r - high);
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      if (!kEarly && norm.gain != nullptr) gain[0] = four(norm.gain, place(i), vectors);
      float* f = &v[i].x;
      const float* g = &gain[kEarly ? i : 0].x;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float p = __fmul_rn(f[j], high);
        const float rest = __fmaf_rn(f[j], low, __fmaf_rn(f[j], high, -p));
        if (norm.gain == nullptr) {
          f[j] = __fadd_rn(p, rest);
        } else {
          const float q = __fmul_rn(p, g[j]);
          f[j] = __fadd_rn(q, __fmaf_rn(rest, g[j], __fmaf_rn(p, g[j], -q)));
        }
      }
    }
  }

  // The bits of the row's largest magnitude, at least 1e-5; from 0x7F800000 on where something is not finite.
  __device__ int32_t largest(int32_t* of_warps) const {
    int32_t most = 0;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      const float* f = &v[i].x;
#pragma unroll
      for (int j = 0; j < 4; ++j) most = max(most, __float_as_int(f[j]) & 0x7FFFFFFF);
    }
    most = __reduce_max_sync(~0U, most);
    if (lane == 0) of_warps[warp] = most;
    __syncthreads();
    most = __reduce_max_sync(~0U, lane < W ? of_warps[lane] : 0);
    return max(most, __float_as_int(1e-5f));
  }

  // Stores the int8 row up to `padded` (a multiple of 4); returns this thread's part of its sum.
  __device__ int32_t quantise(int32_t largest_bits, int8_t* q, int padded) const {
    const float absmax = __int_as_float(largest_bits);
    const float inverse = __fdiv_rn(127.0f, absmax);
    // round_half_even(x * (127 / absmax)) in double. The float product is within 3e-5 of it, so only near the middle of
    // two integers must it be done.
    uint32_t word[kStrips];
    bool close = false;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      const float* f = &v[i].x;
      word[i] = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float y = __fmul_rn(f[j], inverse), nearest = rintf(y);
        close |= fabsf(fabsf(y - nearest) - 0.5f) < 1e-4f;
        word[i] |= byte_of(static_cast<int>(nearest), j);
      }
    }
    if (close) {
      const double exact = 127.0 / static_cast<double>(absmax);
#pragma unroll
      for (int i = 0; i < kStrips; ++i) {
        const float* f = &v[i].x;
        word[i] = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          word[i] |= byte_of(__double2int_rn(static_cast<double>(f[j]) * exact), j);
      }
    }
    int32_t total = 0;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      if (place(i) < padded) *reinterpret_cast<uint32_t*>(q + place(i)) = word[i];
      total = __dp4a(static_cast<int>(word[i]), 0x01010101, total);
    }
    return total;
  }

  __device__ static uint32_t byte_of(int value, int place) {
    return (static_cast<uint32_t>(value) & 0xFF) << (8 * place);
  }
};

__device__ inline double step_of(int32_t largest_bits) {
  return static_cast<double>(__int_as_float(largest_bits)) / 127.0;
}
__device__ inline bool finite(int32_t largest_bits) { return largest_bits < 0x7F800000; }

// The strips that a thread of W warps needs: of the sizes that are compiled, or 0.
inline int strips_of(int64_t K, int W) {
  const int64_t strips = (K + int64_t{kStrip} * W - 1) / (int64_t{kStrip} * W);
  for (const int some : {1, 2, 3, 4, 8, 16})
    if (strips <= some) return some;
  return 0;
}

}  // namespace trit::cuda::rows
