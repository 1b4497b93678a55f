// The gated unit together with the norm and quantisation of what it gives, and with that norm's backward pass: the unit's
// result is neither written nor read.

#include "kernels/cuda/training_gate.h"
#include "kernels/cuda/training_half_row.h"
#include "kernels/cuda/training_norm.h"

namespace trit::cuda {
namespace {

using namespace training;

template <int W, int kChunks, bool kSilu>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock)
    quantize_kernel(View<const Bf16> x, Pairs pairs, int64_t N, Norm norm, QuantizedRows out,
                    Kept kept, int32_t* not_finite) {
  using Row = HalfRow<W, kChunks>;
  constexpr int kWarps = Row::kBlock / 32;
  __shared__ float squares[kWarps];
  __shared__ int32_t exchange[2][kWarps];
  const Row row(static_cast<int>(pairs.F));
  const int64_t r = static_cast<int64_t>(blockIdx.x) * Row::kRows + row.which;
  const bool there = r < N;
  float m[kChunks][8] = {};
  uint4 gates[kChunks] = {}, ups[kChunks] = {};
  if (there) row.load_pairs(x.row(r), pairs, gates, ups);
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    float up[8];
    unpack(gates[i], m[i]);
    unpack(ups[i], up);
#pragma unroll
    for (int j = 0; j < 8; ++j)
      m[i][j] = gated<kSilu>(m[i][j], up[j], opening<kSilu, false>(m[i][j]));
  }
  if (norm.there)
    normalise(row, norm, m, squares, there && kept.outer != nullptr ? kept.outer + r : nullptr);
  quantise(row, there, r, m, out, kept, exchange, not_finite);
}

template <int W, int kChunks, bool kSilu>
__global__ void __launch_bounds__(HalfRow<W, kChunks>::kBlock, W == 8 ? 2 : 4)
    backward_kernel(View<const Bf16> x, Pairs pairs, const float* inverse_rms, int64_t N,
                    const float* gain, View<const Bf16> du, View<Bf16> dx, float* parts) {
  using Row = HalfRow<W, kChunks>;
  constexpr bool kKeeps = kChunks < 4;  // sigmoids, where registers last
  __shared__ float warps[2][Row::kBlock / 32];
  __shared__ float of_rows[Row::kFloatsOfRows];
  const Row row(static_cast<int>(pairs.F));
  float dgain[kChunks][8] = {};
  const int64_t turns = (N + Row::kRows - 1) / Row::kRows;
  const int64_t first = turns * blockIdx.x / gridDim.x, end = turns * (blockIdx.x + 1) / gridDim.x;
  for (int64_t turn = first; turn < end; ++turn) {
    const int64_t r = turn * Row::kRows + row.which;
    uint4 gates[kChunks] = {}, ups[kChunks] = {}, of_du[kChunks] = {};
    float open[kKeeps ? kChunks : 1][8], factor = 0, sum = 0;
    if (r < N) {
      row.load_pairs(x.row(r), pairs, gates, ups);
      row.load(du.row(r), of_du);
      factor = inverse_rms[r];
    }
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      float gate[8], up[8], d[8], g[8];
      unpack(gates[i], gate);
      unpack(ups[i], up);
      unpack(of_du[i], d);
      if (gain != nullptr) row.gains(gain, i, g);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const float o = opening<kSilu, false>(gate[j]);
        if constexpr (kKeeps) open[i][j] = o;
        const float m = gated<kSilu>(gate[j], up[j], o);
        if (gain != nullptr) {
          dgain[i][j] = fmaf(d[j] * m, factor, dgain[i][j]);
          d[j] *= g[j];
        }
        sum = fmaf(d[j], m, sum);
      }
    }
    sum = row.sum(sum, warps[(turn - first) % 2]);
    if (r >= N) continue;
    const float back = sum / static_cast<float>(row.K) * factor * factor * factor;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      if (row.place(i) >= row.K) continue;
      float gate[8], up[8], d[8], g[8];
      unpack(gates[i], gate);
      unpack(ups[i], up);
      unpack(of_du[i], d);
      if (gain != nullptr) row.gains(gain, i, g);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        float o;
        if constexpr (kKeeps)
          o = open[i][j];
        else
          o = opening<kSilu, false>(gate[j]);
        const float m = gated<kSilu>(gate[j], up[j], o);
        if (gain != nullptr) d[j] *= g[j];
        gate_backward<kSilu>(fmaf(d[j], factor, -m * back), o, gate[j], up[j]);
      }
      const int64_t f = row.place(i), at = pairs.gate(f), of_up = pairs.up(f);
      put(dx.row(r), at, pairs.end(at, f), true, gate);
      put(dx.row(r), of_up, pairs.end(of_up, f), true, up);
    }
  }
  if (gain != nullptr)
    leave_part(row, dgain, of_rows, parts + static_cast<int64_t>(blockIdx.x) * row.K);
}

}  // namespace

bool gated_rows_fuse(GatePlaces places, int64_t F, std::initializer_list<ConstRows> rows) {
  return pairs(places, F).vectors && half_norm_takes((F + 127) / 128 * 128, rows);
}

void glu_quantize(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                  Epilogue activation, const Norm& norm, const QuantizedRows& out,
                  const QuantizeExtras& extras, const Scratch& scratch) {
  with_sizes(out.q_stride, [&](auto sizes) {
    with_activation(activation, [&](auto silu) {
      using S = decltype(sizes);
      quantize_kernel<S::kW, S::kC, silu.value><<<turns<S>(N), RowOf<S>::kBlock, 0, stream>>>(
          view<Bf16>(gate_up), pairs(places, F), N, norm, out,
          Kept{view<Bf16>(extras.dequantised), extras.outer_inverse_rms, nullptr},
          scratch.not_finite);
    });
  });
  TRIT_CUDA_LAUNCHED();
}

void glu_norm_backward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N,
                       int64_t F, Epilogue activation, const float* inverse_rms, const float* gain,
                       ConstRows du, Rows dgate_up, float* dgain, const Scratch& scratch) {
  if (gain != nullptr && scratch.bytes < norm_scratch_bytes(F))
    scratch_too_small("glu_norm_backward", static_cast<long>(scratch.bytes),
                      static_cast<long>(norm_scratch_bytes(F)));
  auto* parts = reinterpret_cast<float*>(scratch.memory);
  int64_t blocks = 0;
  with_sizes(F, [&](auto sizes) {
    with_activation(activation, [&](auto silu) {
      using S = decltype(sizes);
      blocks = turns<S>(N) < kNormParts ? turns<S>(N) : kNormParts;
      backward_kernel<S::kW, S::kC, silu.value>
          <<<static_cast<unsigned>(blocks), RowOf<S>::kBlock, 0, stream>>>(
              view<Bf16>(gate_up), pairs(places, F), inverse_rms, N, gain, view<Bf16>(du),
              view<Bf16>(dgate_up), parts);
    });
  });
  TRIT_CUDA_LAUNCHED();
  if (gain != nullptr) add_gain_parts(stream, parts, blocks, F, dgain);
}

}  // namespace trit::cuda
