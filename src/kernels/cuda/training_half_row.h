#pragma once
// For training_norm_half.cu and training_gated.cu: rows of bfloat16, each of which is W warps' alone, eight neighbours a lane,
// so that short rows need no barrier. Sums and factors are float32.

#include "kernels/cuda/training_gate.h"

namespace trit::cuda::training {

// A thread's part of a row: eights from 8 thread, 8 (thread + 32 W), ... on.
template <int W, int kChunks>
struct HalfRow {
  static constexpr int kRowThreads = 32 * W;
  static constexpr int kRows = W < 4 ? 4 / W : 1;  // of a block
  static constexpr int kBlock = kRowThreads * kRows;
  static constexpr int kFloatsOfRows = kRows > 1 ? kBlock* kChunks * 8 : 1;  // leave_part's
  int thread = static_cast<int>(threadIdx.x) % kRowThreads;
  int which = static_cast<int>(threadIdx.x) / kRowThreads;
  int K;
  __device__ explicit HalfRow(int columns) : K(columns) {}
  __device__ int place(int i) const { return 8 * (thread + i * kRowThreads); }

  __device__ void load(const Bf16* row, uint4 (&v)[kChunks]) const {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) v[i] = eight(row + place(i), i);
  }
  // The eight of chunk i from `at` on, zeros where the row has ended.
  __device__ uint4 part(const Bf16* at, int i) const {
    uint32_t words[4] = {};
#pragma unroll
    for (int j = 0; j < 8; ++j)
      if (place(i) + j < K)
        words[j / 2] |= static_cast<uint32_t>(__bfloat16_as_ushort(at[j])) << (16 * (j % 2));
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
  __device__ uint4 eight(const Bf16* at, int i) const {
    return place(i) + 8 <= K ? *reinterpret_cast<const uint4*>(at) : part(at, i);
  }
  // Gate and up of a row of both.
  __device__ void load_pairs(const Bf16* row, const Pairs& pairs, uint4 (&gates)[kChunks],
                             uint4 (&ups)[kChunks]) const {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      gates[i] = eight(row + pairs.gate(place(i)), i);
      ups[i] = eight(row + pairs.up(place(i)), i);
    }
  }
  // Eight gains from place(i) on, zeros past the row.
  __device__ void gains(const float* gain, int i, float (&g)[8]) const {
    fetch(gain, place(i), K, reinterpret_cast<uintptr_t>(gain) % 16 == 0, g);
  }
  // The sum over the row's threads.
  __device__ float sum(float x, float* warps) const {
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(~0U, x, apart);
    if constexpr (W == 1) return x;
    float* own = warps + which * W;
    if (thread % 32 == 0) own[thread / 32] = x;
    __syncthreads();
    x = own[0];
#pragma unroll
    for (int i = 1; i < W; ++i) x += own[i];
    return x;
  }
  template <class T>
  __device__ T all_sum(T x, T* warps) const {
    x = __reduce_add_sync(~0U, x);
    if constexpr (W == 1) return x;
    T* own = warps + which * W;
    if (thread % 32 == 0) own[thread / 32] = x;
    __syncthreads();
    x = own[0];
#pragma unroll
    for (int i = 1; i < W; ++i) x += own[i];
    return x;
  }
  __device__ int32_t largest(int32_t x, int32_t* warps) const {
    x = __reduce_max_sync(~0U, x);
    if constexpr (W == 1) return x;
    int32_t* own = warps + which * W;
    if (thread % 32 == 0) own[thread / 32] = x;
    __syncthreads();
    x = own[0];
#pragma unroll
    for (int i = 1; i < W; ++i) x = max(x, own[i]);
    return x;
  }
};

__device__ inline void unpack(uint4 v, float (&f)[8]) {
  const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    f[2 * j] = __uint_as_float(words[j] << 16);
    f[2 * j + 1] = __uint_as_float(words[j] & 0xFFFF0000U);
  }
}

// v = norm(v); leaves 1 / rms where it is wanted.
template <int W, int kChunks>
__device__ void normalise(const HalfRow<W, kChunks>& row, const Norm& norm, float (&v)[kChunks][8],
                          float* warps, float* inverse_rms) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) squares = fmaf(v[i][j], v[i][j], squares);
  }
  squares = row.sum(squares, warps);
  const float r = 1.0f / sqrtf(squares / static_cast<float>(row.K) + norm.epsilon);
  if (inverse_rms != nullptr && row.thread == 0) *inverse_rms = r;
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    float g[8];
    if (norm.gain != nullptr) row.gains(norm.gain, i, g);
#pragma unroll
    for (int j = 0; j < 8; ++j) v[i][j] *= norm.gain != nullptr ? r * g[j] : r;
  }
}

struct Kept {
  View<Bf16> dequantised;
  float *outer, *inner;
};

// Row r of `out`, and of what else is asked for, from v, which is used up.
template <int W, int kChunks, int kWarps>
__device__ void quantise(const HalfRow<W, kChunks>& row, bool there, int64_t r,
                         float (&v)[kChunks][8], const QuantizedRows& out, const Kept& kept,
                         int32_t (&exchange)[2][kWarps], int32_t* not_finite) {
  int32_t most = __float_as_int(1e-5f);
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) most = max(most, __float_as_int(v[i][j]) & 0x7FFFFFFF);
  }
  most = row.largest(most, exchange[0]);
  const float absmax = __int_as_float(most), inverse = 127.0f / absmax, step = absmax / 127.0f;
  // Added to a small float it rounds, and leaves the integer in the low bits.
  constexpr float kRounds = 12582912.0f;
  int32_t sum = 0;
  int8_t* q = out.q + r * out.q_stride;
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    uint32_t words[2] = {};
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float shifted = fmaf(v[i][j], inverse, kRounds);
      words[j / 4] |= (__float_as_uint(shifted) & 0xFF) << (8 * (j % 4));
      v[i][j] = (shifted - kRounds) * step;
    }
    sum = __dp4a(static_cast<int>(words[0]), 0x01010101, sum);
    sum = __dp4a(static_cast<int>(words[1]), 0x01010101, sum);
    if (!there) continue;
    if (row.place(i) < out.q_stride)
      *reinterpret_cast<uint2*>(q + row.place(i)) = make_uint2(words[0], words[1]);
    if (kept.dequantised.data != nullptr)
      put(kept.dequantised.row(r), row.place(i), row.K, true, v[i]);
  }
  sum = row.all_sum(sum, exchange[1]);
  if (!there || row.thread != 0) return;
  out.sum[r] = sum;
  out.step[r] = static_cast<double>(absmax) / 127.0;
  if (not_finite != nullptr && most >= 0x7F800000) *not_finite = 1;
}

// The block's rows' sums of a gain's gradient, in order, as its part.
template <int W, int kChunks>
__device__ void leave_part(const HalfRow<W, kChunks>& row, const float (&dgain)[kChunks][8],
                           float* of_rows, float* part) {
  using Row = HalfRow<W, kChunks>;
  if constexpr (Row::kRows > 1) {  // the block's rows' sums, in order
    constexpr int kOfRow = kChunks * 8 * 32 * W;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
#pragma unroll
      for (int j = 0; j < 8; ++j) of_rows[row.which * kOfRow + row.place(i) + j] = dgain[i][j];
    }
    __syncthreads();
    for (int k = static_cast<int>(threadIdx.x); k < row.K; k += Row::kBlock) {
      float sum = of_rows[k];
#pragma unroll
      for (int i = 1; i < Row::kRows; ++i) sum += of_rows[i * kOfRow + k];
      part[k] = sum;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) put(part, row.place(i), row.K, row.K % 4 == 0, dgain[i]);
  }
}

template <int W, int kChunks>
struct Sizes {
  static constexpr int kW = W, kC = kChunks;
};
// body(Sizes) for rows of K, at most:
inline constexpr int64_t kMostOfHalfRow = 8 * 32 * 8 * 4;
template <class Body>
void with_sizes(int64_t K, Body body) {
  if (K <= 256) return body(Sizes<1, 1>{});
  if (K <= 512) return body(Sizes<1, 2>{});
  if (K <= 1024) return body(Sizes<1, 4>{});
  if (K <= 1536) return body(Sizes<2, 3>{});
  if (K <= 2048) return body(Sizes<2, 4>{});
  if (K <= 3072) return body(Sizes<4, 3>{});
  if (K <= 4096) return body(Sizes<4, 4>{});
  if (K <= 6144) return body(Sizes<8, 3>{});
  body(Sizes<8, 4>{});
}
template <class S>
using RowOf = HalfRow<S::kW, S::kC>;
template <class S>
unsigned turns(int64_t N) {
  return static_cast<unsigned>((N + RowOf<S>::kRows - 1) / RowOf<S>::kRows);
}

}  // namespace trit::cuda::training
