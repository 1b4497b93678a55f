// Norms and quantised rows of bfloat16: as training_norm.cu, but each row is W warps' alone, eight neighbours a lane, so
// short rows need no barrier.

#include "kernels/cuda/training_half_row.h"
#include "kernels/cuda/training_norm.h"

namespace trit::cuda {
namespace {

using namespace training;

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

template <int W, int kChunks>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock)
    quantize_kernel(View<const Bf16> x, int64_t N, int K, Norm outer, Norm inner, QuantizedRows out,
                    Kept kept, int32_t* not_finite) {
  using Row = HalfRow<W, kChunks>;
  constexpr int kWarps = Row::kBlock / 32;
  __shared__ float squares[2][kWarps];
  __shared__ int32_t exchange[2][kWarps];
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
  quantise(row, there, r, v, out, kept, exchange, not_finite);
}

// A block's rows in turn. Rows stay packed, so that few registers are needed and many rows are under way.
template <int W, int kChunks>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock, W == 8 ? 2 : 4)
    backward_kernel(View<const Bf16> x, const float* inverse_rms, int64_t N, int K,
                    const float* gain, View<const Bf16> dy, View<Bf16> dx, bool add, float* parts) {
  using Row = HalfRow<W, kChunks>;
  constexpr int kWarps = Row::kBlock / 32;
  __shared__ float warps[2][kWarps];
  __shared__ float of_rows[Row::kFloatsOfRows];
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
  leave_part(row, dgain, of_rows, parts + static_cast<int64_t>(blockIdx.x) * K);
}

}  // namespace

bool half_norm_takes(int64_t K, std::initializer_list<ConstRows> rows) {
  bool takes = K <= kMostOfHalfRow;
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
