#include "kernels/cuda/linear_rows.h"

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

struct Input {
  const float* x;
  int64_t stride;
  int K;
  bool vectors;  // rows are aligned to 16 bytes
};
Input input(const float* x, int64_t stride, int64_t K) {
  return {x, stride, static_cast<int>(K),
          reinterpret_cast<uintptr_t>(x) % 16 == 0 && stride % 4 == 0};
}

template <int W, int kStrips>
__global__ void __launch_bounds__(32 * W)
    quantize_kernel(Input in, Norm outer, Norm inner, QuantizedRows out, int32_t* not_finite) {
  __shared__ rows::Exchange<W * kStrips> exchange;
  const int64_t t = blockIdx.x;
  rows::Row<W, kStrips> row(in.K);
  if (outer.there)
    row.fetch_gains(outer);
  else
    row.fetch_gains(inner);
  wait_for_previous();
  row.load(in.x + t * in.stride, in.vectors);
  if (outer.there) row.normalise(outer, exchange.squares);
  if (outer.there && inner.there) {
    row.fetch_gains(inner);
    __syncthreads();  // all have read the squares
  }
  if (inner.there) row.normalise(inner, exchange.squares);
  const int32_t largest = row.largest(exchange.largest);
  if (row.warp == W - 1 && row.lane == 0) {
    out.step[t] = rows::step_of(largest);
    if (not_finite != nullptr && !rows::finite(largest)) *not_finite = 1;
  }
  const int32_t part = __reduce_add_sync(
      ~0U, row.quantise(largest, out.q + t * out.q_stride, static_cast<int>(out.q_stride)));
  if (row.lane == 0) exchange.sums[row.warp] = part;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  const int32_t sum = __reduce_add_sync(~0U, row.lane < W ? exchange.sums[row.lane] : 0);
  if (threadIdx.x == 0) out.sum[t] = sum;
}

template <int W, int kStrips>
__global__ void __launch_bounds__(32 * W)
    rmsnorm_kernel(Input in, Norm norm, float* y, int64_t y_stride) {
  __shared__ rows::Exchange<W * kStrips> exchange;
  const int64_t t = blockIdx.x;
  rows::Row<W, kStrips> row(in.K);
  row.fetch_gains(norm);
  wait_for_previous();
  row.load(in.x + t * in.stride, in.vectors);
  if (norm.there) row.normalise(norm, exchange.squares);
  y += t * y_stride;
  const bool vectors = reinterpret_cast<uintptr_t>(y) % 16 == 0;
#pragma unroll
  for (int i = 0; i < kStrips; ++i) {
    const int k = row.place(i);
    if (vectors && k + 4 <= in.K) {
      *reinterpret_cast<float4*>(y + k) = row.v[i];
      continue;
    }
    const float* f = &row.v[i].x;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (k + j < in.K) y[k + j] = f[j];
  }
}

// body(warps, strips) as integral constants: few warps for short rows, whose barriers then are quick.
template <class Body>
void with_sizes(int64_t K, Body body) {
  using std::integral_constant;
  const auto strips = [&]<int W>(integral_constant<int, W> warps) {
    switch (rows::strips_of(K, W)) {
      case 1:
        return body(warps, integral_constant<int, 1>{});
      case 2:
        return body(warps, integral_constant<int, 2>{});
      case 3:
        return body(warps, integral_constant<int, 3>{});
      case 4:
        return body(warps, integral_constant<int, 4>{});
      case 6:
        return body(warps, integral_constant<int, 6>{});
      case 8:
        return body(warps, integral_constant<int, 8>{});
      case 16:
        return body(warps, integral_constant<int, 16>{});
      default:
        TRIT_CUDA(cudaErrorInvalidValue);  // rows of more than 65536
    }
  };
  if (K <= 1024) return strips(integral_constant<int, 8>{});
  if (K <= 8192) return strips(integral_constant<int, 16>{});
  return strips(integral_constant<int, 32>{});
}

}  // namespace

void quantize_rows(StreamHandle stream, const float* x, int64_t x_stride, int64_t T, int64_t K,
                   const Norm& outer, const Norm& inner, const QuantizedRows& out,
                   const Scratch& scratch) {
  if (T <= 0) return;
  with_sizes(out.q_stride, [&](auto warps, auto strips) {
    launch_chained(stream, static_cast<unsigned>(T), 32 * warps, 0, quantize_kernel<warps, strips>,
                   input(x, x_stride, K), outer, inner, out, scratch.not_finite);
  });
}

void rmsnorm_rows(StreamHandle stream, const float* x, int64_t x_stride, int64_t T, int64_t K,
                  const Norm& norm, float* y, int64_t y_stride) {
  if (T <= 0) return;
  with_sizes(K, [&](auto warps, auto strips) {
    launch_chained(stream, static_cast<unsigned>(T), 32 * warps, 0, rmsnorm_kernel<warps, strips>,
                   input(x, x_stride, K), norm, y, y_stride);
  });
}

}  // namespace trit::cuda
