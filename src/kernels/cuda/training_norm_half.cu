// Norms and quantised rows of bfloat16: as training_norm.cu, but each row is W warps' alone, eight neighbours a lane, so
// short rows need no barrier.

#include "kernels/cuda/training_norm.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

// A thread's part of a row: eights from 8 thread, 8 (thread + 32 W), ... on.
template <int W, int kChunks>
struct HalfRow {
  static constexpr int kRowThreads = 32 * W;
  static constexpr int kRows = W < 4 ? 4 / W : 1;  // of a block
  static constexpr int kBlock = kRowThreads * kRows;
  int thread = static_cast<int>(threadIdx.x) % kRowThreads;
  int which = static_cast<int>(threadIdx.x) / kRowThreads;
  int K;
  __device__ explicit HalfRow(int columns) : K(columns) {}
  __device__ int place(int i) const { return 8 * (thread + i * kRowThreads); }

  __device__ void load(const Bf16* row, uint4 (&v)[kChunks]) const {
#pragma unroll
    for (int i = 0; i < kChunks; ++i)
      v[i] = place(i) + 8 <= K ? *reinterpret_cast<const uint4*>(row + place(i)) : part(row, i);
  }
  __device__ uint4 part(const Bf16* row, int i) const {
    uint32_t words[4] = {};
#pragma unroll
    for (int j = 0; j < 8; ++j)
      if (place(i) + j < K)
        words[j / 2] |= static_cast<uint32_t>(__bfloat16_as_ushort(row[place(i) + j]))
                        << (16 * (j % 2));
    return make_uint4(words[0], words[1], words[2], words[3]);
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

template <int W, int kChunks>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock)
    forward_kernel(View<const Bf16> x, int64_t N, int K, Norm norm, View<Bf16> y,
                   float* inverse_rms) {
  using Row = HalfRow<W, kChunks>;
  __shared__ float warps[Row::kBlock / 32];
  const Row row(K);
  const int64_t r = static_cast<int64_t>(blockIdx.x) * Row::kRows + row.which;
  const bool there = r < N;
  uint4 packed[kChunks] = {};
  if (there) row.load(x.row(r), packed);
  float v[kChunks][8];
#pragma unroll
  for (int i = 0; i < kChunks; ++i) unpack(packed[i], v[i]);
  normalise(row, norm, v, warps, there && inverse_rms != nullptr ? inverse_rms + r : nullptr);
  if (!there) return;
#pragma unroll
  for (int i = 0; i < kChunks; ++i) put(y.row(r), row.place(i), K, true, v[i]);
}

struct Kept {
  View<Bf16> dequantised;
  float *outer, *inner;
};

template <int W, int kChunks>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock)
    quantize_kernel(View<const Bf16> x, int64_t N, int K, Norm outer, Norm inner, QuantizedRows out,
                    Kept kept, int32_t* not_finite) {
  using Row = HalfRow<W, kChunks>;
  constexpr int kWarps = Row::kBlock / 32;
  __shared__ float squares[2][kWarps];
  __shared__ int32_t largest_of[kWarps], sums[kWarps];
  const Row row(K);
  const int64_t r = static_cast<int64_t>(blockIdx.x) * Row::kRows + row.which;
  const bool there = r < N;
  uint4 packed[kChunks] = {};
  if (there) row.load(x.row(r), packed);
  float v[kChunks][8];
#pragma unroll
  for (int i = 0; i < kChunks; ++i) unpack(packed[i], v[i]);
  const auto place = [&](float* of) { return there && of != nullptr ? of + r : nullptr; };
  if (outer.there) normalise(row, outer, v, squares[0], place(kept.outer));
  if (inner.there) normalise(row, inner, v, squares[1], place(kept.inner));
  int32_t most = __float_as_int(1e-5f);
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) most = max(most, __float_as_int(v[i][j]) & 0x7FFFFFFF);
  }
  most = row.largest(most, largest_of);
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
    if (kept.dequantised.data != nullptr) put(kept.dequantised.row(r), row.place(i), K, true, v[i]);
  }
  sum = row.all_sum(sum, sums);
  if (!there || row.thread != 0) return;
  out.sum[r] = sum;
  out.step[r] = static_cast<double>(absmax) / 127.0;
  if (not_finite != nullptr && most >= 0x7F800000) *not_finite = 1;
}

// A block's rows in turn. Rows stay packed, so that few registers are needed and many rows are under way.
template <int W, int kChunks>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock, W == 8 ? 2 : 4)
    backward_kernel(View<const Bf16> x, const float* inverse_rms, int64_t N, int K,
                    const float* gain, View<const Bf16> dy, View<Bf16> dx, bool add, float* parts) {
  using Row = HalfRow<W, kChunks>;
  constexpr int kWarps = Row::kBlock / 32;
  __shared__ float warps[2][kWarps];
  __shared__ float of_rows[Row::kRows > 1 ? Row::kRows * kChunks * 8 * 32 * W : 1];
  const Row row(K);
  float dgain[kChunks][8] = {};
  const int64_t turns = (N + Row::kRows - 1) / Row::kRows;
  const int64_t first = turns * blockIdx.x / gridDim.x, end = turns * (blockIdx.x + 1) / gridDim.x;
  for (int64_t turn = first; turn < end; ++turn) {
    const int64_t r = turn * Row::kRows + row.which;
    uint4 of_x[kChunks] = {}, of_dy[kChunks] = {}, before[kChunks];
    float factor = 0;
    if (r < N) {
      row.load(x.row(r), of_x);
      row.load(dy.row(r), of_dy);
      if (add) row.load(dx.row(r), before);
      factor = inverse_rms[r];
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      float v[8], d[8], g[8];
      unpack(of_x[i], v);
      unpack(of_dy[i], d);
      if (gain != nullptr) {
        row.gains(gain, i, g);
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          dgain[i][j] = fmaf(d[j] * v[j], factor, dgain[i][j]);
          sum = fmaf(d[j] * g[j], v[j], sum);
        }
      } else {
#pragma unroll
        for (int j = 0; j < 8; ++j) sum = fmaf(d[j], v[j], sum);
      }
    }
    sum = row.sum(sum, warps[(turn - first) % 2]);
    if (r >= N) continue;
    const float back = sum / static_cast<float>(K) * factor * factor * factor;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      float v[8], d[8], g[8], old[8];
      unpack(of_x[i], v);
      unpack(of_dy[i], d);
      if (gain != nullptr) row.gains(gain, i, g);
      if (add) unpack(before[i], old);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const float by_gain = gain != nullptr ? d[j] * g[j] : d[j];
        d[j] = fmaf(by_gain, factor, -v[j] * back);
        if (add) d[j] += old[j];
      }
      put(dx.row(r), row.place(i), K, true, d);
    }
  }
  if (gain == nullptr) return;
  float* part = parts + static_cast<int64_t>(blockIdx.x) * K;
  if constexpr (Row::kRows > 1) {  // the block's rows' sums, in order
    constexpr int kOfRow = kChunks * 8 * 32 * W;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
#pragma unroll
      for (int j = 0; j < 8; ++j) of_rows[row.which * kOfRow + row.place(i) + j] = dgain[i][j];
    }
    __syncthreads();
    for (int k = static_cast<int>(threadIdx.x); k < K; k += Row::kBlock) {
      float sum = of_rows[k];
#pragma unroll
      for (int i = 1; i < Row::kRows; ++i) sum += of_rows[i * kOfRow + k];
      part[k] = sum;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) put(part, row.place(i), K, K % 4 == 0, dgain[i]);
  }
}

constexpr int64_t kMostColumns = 8 * 32 * 8 * 4;

template <int W, int kChunks>
struct Sizes {
  static constexpr int kW = W, kC = kChunks;
};
// body(Sizes) for rows of K.
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

}  // namespace

bool half_norm_takes(int64_t K, std::initializer_list<ConstRows> rows) {
  bool takes = K <= kMostColumns;
  for (const ConstRows& r : rows) takes = takes && r.type == Float::kBF16 && view<Bf16>(r).vectors;
  return takes;
}

void rmsnorm_half(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& norm, Rows y,
                  float* inverse_rms) {
  with_sizes(K, [&](auto sizes) {
    using S = decltype(sizes);
    forward_kernel<S::kW, S::kC><<<turns<S>(N), RowOf<S>::kBlock, 0, stream>>>(
        view<Bf16>(x), N, static_cast<int>(K), norm, view<Bf16>(y), inverse_rms);
  });
  TRIT_CUDA_LAUNCHED();
}

void quantize_half(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& outer,
                   const Norm& inner, const QuantizedRows& out, const QuantizeExtras& extras,
                   int32_t* not_finite) {
  with_sizes(out.q_stride, [&](auto sizes) {
    using S = decltype(sizes);
    quantize_kernel<S::kW, S::kC><<<turns<S>(N), RowOf<S>::kBlock, 0, stream>>>(
        view<Bf16>(x), N, static_cast<int>(K), outer, inner, out,
        Kept{view<Bf16>(extras.dequantised), extras.outer_inverse_rms, extras.inner_inverse_rms},
        not_finite);
  });
  TRIT_CUDA_LAUNCHED();
}

int64_t rmsnorm_backward_half(StreamHandle stream, ConstRows x, const float* inverse_rms, int64_t N,
                              int64_t K, const float* gain, ConstRows dy, Rows dx, bool add,
                              float* parts) {
  int64_t blocks = 0;
  with_sizes(K, [&](auto sizes) {
    using S = decltype(sizes);
    blocks = turns<S>(N) < kNormParts ? turns<S>(N) : kNormParts;
    backward_kernel<S::kW, S::kC><<<static_cast<unsigned>(blocks), RowOf<S>::kBlock, 0, stream>>>(
        view<Bf16>(x), inverse_rms, N, static_cast<int>(K), gain, view<Bf16>(dy), view<Bf16>(dx),
        add, parts);
  });
  TRIT_CUDA_LAUNCHED();
  return blocks;
}

}  // namespace trit::cuda
