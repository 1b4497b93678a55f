// RMSNorm forward and backward, and the rows of ternary layers, a row at a time in the registers of a block
// (linear_rows.h); bfloat16 rows that training_norm_half.cu takes go there. The backward pass cuts the rows into at most kNormParts runs, one a block, which sums its part of the
// gain's gradient; the parts are then added in order.

#include <type_traits>

#include "kernels/cuda/linear_rows.h"
#include "kernels/cuda/training_norm.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

// Rows of either type: which one is asked once a row, so that kernels need no copy for each.
struct AnyRows {
  void* data;
  int64_t stride;
  bool is_half, vectors;  // vectors: rows start at four elements
};
AnyRows any(const void* data, int64_t stride, Float type) {
  const int64_t four = 4 * float_bytes(type);
  return {const_cast<void*>(data), stride, type == Float::kBF16,
          reinterpret_cast<uintptr_t>(data) % static_cast<uint64_t>(four) == 0 && stride % 4 == 0};
}
AnyRows any(const ConstRows& rows) { return any(rows.data, rows.stride, rows.type); }

__device__ float4 four(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ float4 four(const Bf16* p) {
  const uint2 v = *reinterpret_cast<const uint2*>(p);
  return {__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xFFFF0000U),
          __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xFFFF0000U)};
}
__device__ void put_four(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
__device__ void put_four(Bf16* p, float4 v) {
  *reinterpret_cast<uint2*>(p) = make_uint2(pair(v.x, v.y), pair(v.z, v.w));
}

template <class T>
__device__ float4 load_four(const T* x, int k, int K, bool vectors) {
  if (vectors && k + 4 <= K) return four(x + k);
  float4 f{};
  if (k < K) f.x = wide(x[k]);
  if (k + 1 < K) f.y = wide(x[k + 1]);
  if (k + 2 < K) f.z = wide(x[k + 2]);
  if (k + 3 < K) f.w = wide(x[k + 3]);
  return f;
}
template <class T>
__device__ void store_four(T* y, int k, int K, bool vectors, float4 v) {
  if (vectors && k + 4 <= K) return put_four(y + k, v);
  const float* f = &v.x;
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (k + j < K) y[k + j] = narrow<T>(f[j]);
}

template <int W, int kStrips, class T>
__device__ void load_as(const rows::Row<W, kStrips>& row, const AnyRows& x, int64_t r,
                        float4 (&v)[kStrips]) {
  const T* from = static_cast<const T*>(x.data) + r * x.stride;
#pragma unroll
  for (int i = 0; i < kStrips; ++i) v[i] = load_four(from, row.place(i), row.K, x.vectors);
}
template <int W, int kStrips>
__device__ void load(const rows::Row<W, kStrips>& row, const AnyRows& x, int64_t r,
                     float4 (&v)[kStrips]) {
  if (x.is_half)
    load_as<W, kStrips, Bf16>(row, x, r, v);
  else
    load_as<W, kStrips, float>(row, x, r, v);
}
template <int W, int kStrips, class T>
__device__ void store_as(const rows::Row<W, kStrips>& row, const AnyRows& y, int64_t r,
                         const float4 (&v)[kStrips]) {
  T* to = static_cast<T*>(y.data) + r * y.stride;
#pragma unroll
  for (int i = 0; i < kStrips; ++i) store_four(to, row.place(i), row.K, y.vectors, v[i]);
}
template <int W, int kStrips>
__device__ void store(const rows::Row<W, kStrips>& row, const AnyRows& y, int64_t r,
                      const float4 (&v)[kStrips]) {
  if (y.is_half)
    store_as<W, kStrips, Bf16>(row, y, r, v);
  else
    store_as<W, kStrips, float>(row, y, r, v);
}

// Norms the row and leaves 1 / rms behind where it is wanted.
template <int W, int kStrips>
__device__ void normalise(rows::Row<W, kStrips>& row, const Norm& norm, double* squares,
                          float* inverse_rms) {
  row.normalise(norm, squares);
  if (inverse_rms == nullptr || row.warp != 0) return;
  const double r = rows::norm_factor(norm, squares, row.K);
  if (row.lane == 0) *inverse_rms = static_cast<float>(r);
}

template <int W, int kStrips>
__global__ void __launch_bounds__(32 * W)
    forward_kernel(AnyRows x, int K, Norm norm, AnyRows y, float* inverse_rms) {
  __shared__ rows::Exchange<W * kStrips> exchange;
  const int64_t r = blockIdx.x;
  rows::Row<W, kStrips> row(K);
  row.fetch_gains(norm);
  load(row, x, r, row.v);
  normalise(row, norm, exchange.squares, inverse_rms == nullptr ? nullptr : inverse_rms + r);
  store(row, y, r, row.v);
}

struct Kept {
  AnyRows dequantised;
  float *outer, *inner;
};

template <int W, int kStrips>
__global__ void __launch_bounds__(32 * W)
    quantize_kernel(AnyRows x, int K, Norm outer, Norm inner, QuantizedRows out, Kept kept,
                    int32_t* not_finite) {
  __shared__ rows::Exchange<W * kStrips> exchange;
  const int64_t r = blockIdx.x;
  rows::Row<W, kStrips> row(K);
  row.fetch_gains(outer.there ? outer : inner);
  load(row, x, r, row.v);
  if (outer.there)
    normalise(row, outer, exchange.squares, kept.outer == nullptr ? nullptr : kept.outer + r);
  if (outer.there && inner.there) {
    row.fetch_gains(inner);
    __syncthreads();  // all have read the squares
  }
  if (inner.there)
    normalise(row, inner, exchange.squares, kept.inner == nullptr ? nullptr : kept.inner + r);
  const int32_t largest = row.largest(exchange.largest);
  const double step = rows::step_of(largest);
  if (row.warp == W - 1 && row.lane == 0) {
    out.step[r] = step;
    if (not_finite != nullptr && !rows::finite(largest)) *not_finite = 1;
  }
  int8_t* q = out.q + r * out.q_stride;
  const int32_t part =
      __reduce_add_sync(~0U, row.quantise(largest, q, static_cast<int>(out.q_stride)));
  if (row.lane == 0) exchange.sums[row.warp] = part;
  if (kept.dequantised.data != nullptr) {
    // As dequantize_activations; a thread reads back what it wrote.
    const float high = __double2float_rn(step);
    const float low = __double2float_rn(step - static_cast<double>(high));
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      float* f = &row.v[i].x;
      const uint32_t word =
          row.place(i) < K ? *reinterpret_cast<const uint32_t*>(q + row.place(i)) : 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const auto level = static_cast<float>(static_cast<int8_t>(word >> (8 * j)));
        const float product = __fmul_rn(level, high);
        f[j] = __fadd_rn(product, __fmaf_rn(level, low, __fmaf_rn(level, high, -product)));
      }
    }
    store(row, kept.dequantised, r, row.v);
  }
  __syncthreads();
  if (threadIdx.x >= 32) return;
  const int32_t sum = __reduce_add_sync(~0U, row.lane < W ? exchange.sums[row.lane] : 0);
  if (threadIdx.x == 0) out.sum[r] = sum;
}

// With g = dy gain: dx (+)= r g - x r^3 mean(g x).
template <int W, int kStrips>
__global__ void __launch_bounds__(32 * W)
    backward_kernel(AnyRows x, const float* inverse_rms, int64_t N, int K, const float* gain,
                    AnyRows dy, AnyRows dx, bool add, float* parts) {
  __shared__ float exchange[2][W];
  rows::Row<W, kStrips> row(K);
  const bool gain_vectors = reinterpret_cast<uintptr_t>(gain) % 16 == 0;
  float4 dgain[kStrips] = {};
  const int64_t first = N * blockIdx.x / gridDim.x, end = N * (blockIdx.x + 1) / gridDim.x;
  for (int64_t r = first; r < end; ++r) {
    float4 g[kStrips], old[kStrips];
    load(row, x, r, row.v);
    load(row, dy, r, g);
    if (add) load(row, dx, r, old);
    const float factor = inverse_rms[r];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      const float* v = &row.v[i].x;
      float *d = &g[i].x, *of_gain = &dgain[i].x;
      if (gain != nullptr) {
        const float4 four_gains = load_four(gain, row.place(i), K, gain_vectors);
        const float* weight = &four_gains.x;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          of_gain[j] += d[j] * v[j] * factor;
          d[j] *= weight[j];
        }
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += d[j] * v[j];
    }
    // Two places in turn: a row's are read before the next but one's are written.
    sum = sum_of_block<W>(sum, exchange[(r - first) % 2]);
    const float back = sum / static_cast<float>(K) * factor * factor * factor;
#pragma unroll
    for (int i = 0; i < kStrips; ++i) {
      const float *v = &row.v[i].x, *before = &old[i].x;
      float* d = &g[i].x;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        d[j] = d[j] * factor - v[j] * back;
        if (add) d[j] += before[j];
      }
    }
    store(row, dx, r, g);
  }
  if (gain == nullptr) return;
  float* part = parts + static_cast<int64_t>(blockIdx.x) * K;
#pragma unroll
  for (int i = 0; i < kStrips; ++i) store_four(part, row.place(i), K, K % 4 == 0, dgain[i]);
}

// 32 columns a block: each warp sums an eighth of the parts in order, then the warps' sums are added in order.
constexpr int kSummers = 8;
__global__ void __launch_bounds__(32 * kSummers)
    gain_kernel(const float* parts, int count, int K, float* dgain) {
  __shared__ float sums[kSummers][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int k = static_cast<int>(blockIdx.x) * 32 + lane;
  float sum = 0;
  if (k < K) {
    const int end = count * (warp + 1) / kSummers;
#pragma unroll 16
    for (int i = count * warp / kSummers; i < end; ++i)
      sum += parts[static_cast<int64_t>(i) * K + k];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || k >= K) return;
#pragma unroll
  for (int i = 1; i < kSummers; ++i) sum += sums[i][lane];
  dgain[k] += sum;
}

// body(warps, strips) as integral constants.
template <class Body>
void with_sizes(int64_t K, Body body) {
  using std::integral_constant;
  const auto up_to = [&]<int W, int kStrips>(integral_constant<int, W> warps,
                                             integral_constant<int, kStrips> strips) {
    if (K > int64_t{W} * kStrips * rows::kStrip) return false;
    body(warps, strips);
    return true;
  };
  constexpr integral_constant<int, 1> k1{};
  constexpr integral_constant<int, 2> k2{};
  constexpr integral_constant<int, 3> k3{};
  constexpr integral_constant<int, 4> k4{};
  constexpr integral_constant<int, 8> k8{};
  constexpr integral_constant<int, 16> k16{};
  constexpr integral_constant<int, 32> k32{};
  const bool done = up_to(k4, k1) || up_to(k4, k2) || up_to(k8, k2) || up_to(k8, k3) ||
                    up_to(k8, k4) || up_to(k16, k3) || up_to(k16, k4) || up_to(k32, k4) ||
                    up_to(k32, k8) || up_to(k32, k16);
  if (!done) columns_refused("a row", static_cast<long>(K), 65536);
}

}  // namespace

void rmsnorm_forward(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const float* gain,
                     float epsilon, Rows y, float* inverse_rms) {
  if (half_norm_takes(K, {x, y}))
    return rmsnorm_half(stream, x, N, K, {true, gain, epsilon}, y, inverse_rms);
  with_sizes(K, [&](auto warps, auto strips) {
    forward_kernel<warps.value, strips.value>
        <<<static_cast<unsigned>(N), 32 * warps.value, 0, stream>>>(
            any(x), static_cast<int>(K), Norm{true, gain, epsilon}, any(y), inverse_rms);
  });
  TRIT_CUDA_LAUNCHED();
}

void quantize_activations(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& outer,
                          const Norm& inner, const QuantizedRows& out, const QuantizeExtras& extras,
                          const Scratch& scratch) {
  const Rows& u = extras.dequantised;
  if (half_norm_takes(out.q_stride, {x, u.data != nullptr ? ConstRows(u) : x}))
    return quantize_half(stream, x, N, K, outer, inner, out, extras, scratch.not_finite);
  with_sizes(out.q_stride, [&](auto warps, auto strips) {
    quantize_kernel<warps.value, strips.value>
        <<<static_cast<unsigned>(N), 32 * warps.value, 0, stream>>>(
            any(x), static_cast<int>(K), outer, inner, out,
            Kept{any(extras.dequantised), extras.outer_inverse_rms, extras.inner_inverse_rms},
            scratch.not_finite);
  });
  TRIT_CUDA_LAUNCHED();
}

void add_gain_parts(StreamHandle stream, const float* parts, int64_t count, int64_t K,
                    float* dgain) {
  gain_kernel<<<static_cast<unsigned>((K + 31) / 32), 32 * kSummers, 0, stream>>>(
      parts, static_cast<int>(count), static_cast<int>(K), dgain);
  TRIT_CUDA_LAUNCHED();
}

int64_t norm_scratch_bytes(int64_t K) { return kNormParts * K * int64_t{sizeof(float)}; }

void rmsnorm_backward(StreamHandle stream, ConstRows x, const float* inverse_rms, int64_t N,
                      int64_t K, const float* gain, ConstRows dy, Rows dx, bool add, float* dgain,
                      const Scratch& scratch) {
  if (gain != nullptr && scratch.bytes < norm_scratch_bytes(K))
    scratch_too_small("rmsnorm_backward", scratch.bytes, norm_scratch_bytes(K));
  auto* parts = reinterpret_cast<float*>(scratch.memory);
  int64_t count = N < kNormParts || gain == nullptr ? N : kNormParts;
  if (half_norm_takes(K, {x, dy, dx})) {
    count = rmsnorm_backward_half(stream, x, inverse_rms, N, K, gain, dy, dx, add, parts);
  } else {
    with_sizes(K, [&](auto warps, auto strips) {
      backward_kernel<warps.value, strips.value>
          <<<static_cast<unsigned>(count), 32 * warps.value, 0, stream>>>(
              any(x), inverse_rms, N, static_cast<int>(K), gain, any(dy), any(dx), add, parts);
    });
    TRIT_CUDA_LAUNCHED();
  }
  if (gain == nullptr) return;
  add_gain_parts(stream, parts, count, K, dgain);
}

}  // namespace trit::cuda
