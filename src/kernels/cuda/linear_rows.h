#pragma once
// For .cu files: norms and quantisation of one row by the threads of a block, which keep it in registers. Used by
// linear_rows.cu and, in the prologue of a product, by linear_single.cu and linear_small_mma.cu; all give the same bits,
// because the order of summation does not depend on the number of threads.
//
// A row is cut into strips of 128 elements, 4 a lane; a warp of W takes strips warp, warp + W, ... Order of summation: the
// four of a lane one after the other, the lanes of a strip as a tree; strips l, l + 32, ... one after the other, and
// those sums (l = 0..31) as a tree. The 16 neighbours that four lanes hold are what a tile of a product gives, so a product
// can leave their sums behind (squares_of_tile) for the one that takes its row.
//
// Doubles are few: converting to and from them takes four times as long as their arithmetic. Products with the
// factor of the norm are pairs of floats (an exact product, and what is missing), which round as the CPU's double does
// unless that lies within 2^-46 of the middle of two floats.

#include <cstdint>

#include "kernels/cuda/kernels.h"

namespace trit::cuda::rows {

inline constexpr int kStrip = 128, kTile = 16;

// What the warps of a block tell each other about one row of up to kStrips strips.
template <int kStrips>
struct Exchange {
  double squares[kStrips];
  int32_t largest[32], sums[32];
};

__device__ inline double add_square(float v, double sum) {
  const double x = v;
  return fma(x, x, sum);
}
// The sum of the squares of a tile: lane 0..15 of a warp has one value each, all have the sum.
__device__ inline double squares_of_tile(float v) {
  double sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    sum = add_square(__shfl_sync(~0U, v, static_cast<int>(threadIdx.x) % 32 / 4 * 4 + i), sum);
  sum += __shfl_xor_sync(~0U, sum, 4);
  return sum + __shfl_xor_sync(~0U, sum, 8);
}

// r = 1 / sqrt(mean of squares + epsilon) of K elements, from the sums of the strips' squares.
__device__ inline double norm_factor(const Norm& norm, const double* squares, int K) {
  const double part = 1.0 / static_cast<double>(K);
  double all = 0;
  for (int strip = static_cast<int>(threadIdx.x) % 32; strip * kStrip < K; strip += 32)
    all += squares[strip];
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) all += __shfl_xor_sync(~0U, all, apart);
  return rsqrt(fma(all, part, static_cast<double>(norm.epsilon)));
}
// narrow(double(x) r gain), r = high + low.
__device__ inline float normed(float x, float high, float low) {
  const float p = __fmul_rn(x, high);
  return __fadd_rn(p, __fmaf_rn(x, low, __fmaf_rn(x, high, -p)));
}
__device__ inline float normed(float x, float high, float low, float gain) {
  const float p = __fmul_rn(x, high);
  const float rest = __fmaf_rn(x, low, __fmaf_rn(x, high, -p));
  const float q = __fmul_rn(p, gain);
  return __fadd_rn(q, __fmaf_rn(rest, gain, __fmaf_rn(p, gain, -q)));
}

// Added to a small float it rounds, and leaves the integer in the low bits.
inline constexpr float kRounds = 12582912.0f;  // 1.5 * 2^23
__device__ inline uint32_t low_bytes(const uint32_t (&words)[4]) {
  return __byte_perm(__byte_perm(words[0], words[1], 0x0040),
                     __byte_perm(words[2], words[3], 0x0040), 0x5410);
}
inline constexpr float kLeastLargest =
    1e-5f;  // what the largest magnitude of a row counts at least

// The part of a row that a thread of W warps keeps: strips warp, warp + W, ...
template <int W, int kStrips>
struct Row {
  // Gains are fetched before the row is there, to registers or, of long rows, only into the cache.
  static constexpr bool kKeepsGains = kStrips <= 3;
  float4 v[kStrips];
  float4 gain[kKeepsGains ? kStrips : 1];
  int K, first, lane, warp;  // first: the thread's first element

  __device__ explicit Row(int columns) : K(columns) {
    lane = static_cast<int>(threadIdx.x) % 32;
    warp = static_cast<int>(threadIdx.x) / 32;
    first = warp * kStrip + lane * 4;
  }
  __device__ int place(int i) const { return first + i * W * kStrip; }

  __device__ void fetch_gains(const Norm& norm) {
    if (!norm.there || norm.gain == nullptr) return;
    const bool vectors = reinterpret_cast<uintptr_t>(norm.gain) % 16 == 0;
    if constexpr (kKeepsGains) {
#pragma unroll
      for (int i = 0; i < kStrips; ++i)
        gain[i] = four(
            place(i), vectors, [&](const auto* p) { return *p; }, norm.gain);
    } else {
#pragma unroll
      for (int i = 0; i < kStrips; ++i)
        if (place(i) < K) asm volatile("prefetch.global.L2 [%0];" ::"l"(norm.gain + place(i)));
    }
  }
  // x was written by a kernel that may still have run when this one started: not through L1.
  __device__ void load(const float* x, bool vectors) {
#pragma unroll
    for (int i = 0; i < kStrips; ++i)
      v[i] = four(
          place(i), vectors, [&](const auto* p) { return __ldcg(p); }, x);
  }

  // Elements k..k + 3, zero past the row.
  template <class Load>
  __device__ float4 four(int k, bool vectors, Load get, const float* x) const {
    if (vectors && k + 4 <= K) return get(reinterpret_cast<const float4*>(x + k));
    float4 f{};
    if (k < K) f.x = get(x + k);
    if (k + 1 < K) f.y = get(x + k + 1);
    if (k + 2 < K) f.z = get(x + k + 2);
    if (k + 3 < K) f.w = get(x + k + 3);
    return f;
  }

  // Sums of the squares of the strips, of those past the row too, so that all are counted side by side.
  __device__ void strip_squares(double* squares) const {
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      double sum =
          add_square(v[i].w, add_square(v[i].z, add_square(v[i].y, add_square(v[i].x, 0))));
#pragma unroll
      for (int apart = 1; apart < 32; apart *= 2) sum += __shfl_xor_sync(~0U, sum, apart);
      if (lane == 0) squares[warp + i * W] = sum;
    }
  }

  // v = narrow(double(v) r gain), r the norm's factor. fetch_gains() was called with the norm.
  __device__ void normalise(const Norm& norm, double* squares) {
    strip_squares(squares);
    __syncthreads();
    const double r = norm_factor(norm, squares, K);
    const float high = static_cast<float>(r), low = static_cast<float>(r - high);
    const bool vectors = reinterpret_cast<uintptr_t>(norm.gain) % 16 == 0;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      if (!kKeepsGains && norm.gain != nullptr)
        gain[0] = four(
            place(i), vectors, [&](const auto* p) { return *p; }, norm.gain);
      float* f = &v[i].x;
      const float* g = &gain[kKeepsGains ? i : 0].x;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        f[j] = norm.gain == nullptr ? normed(f[j], high, low) : normed(f[j], high, low, g[j]);
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
    return max(most, __float_as_int(kLeastLargest));
  }

  // Stores the int8 row up to `padded` (a multiple of 4); returns this thread's part of its sum.
  __device__ int32_t quantise(int32_t largest_bits, int8_t* q, int padded) const {
    const float absmax = __int_as_float(largest_bits);
    const float inverse = __fdiv_rn(127.0f, absmax);
    // round_half_even(x * (127 / absmax)) in double. The float product is within 1.6e-5 of it, so only near the middle
    // of two integers must it be done.
    constexpr float kMiddle = 0.5f - 2e-5f;
    uint32_t word[kStrips];
    bool close = false;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      const float* f = &v[i].x;
      uint32_t bits[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float y = __fmul_rn(f[j], inverse), shifted = __fadd_rn(y, kRounds);
        close |= fabsf(__fsub_rn(y, __fsub_rn(shifted, kRounds))) > kMiddle;
        bits[j] = __float_as_uint(shifted);
      }
      word[i] = low_bytes(bits);
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
  for (const int some : {1, 2, 3, 4, 6, 8, 16})
    if (strips <= some) return some;
  return 0;
}

}  // namespace trit::cuda::rows
