// Queries and keys turned to their positions, keys and values into their pages. One warp a head.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/kv_page.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kMostEach = 8;  // dims a lane holds: heads of up to 256

struct RotateArguments {
  HeadShape shape;
  float* qkv;
  int64_t stride;
  QkvColumns columns;
  Norm q_norm, k_norm;
  const float* cosine;
  const float* sine;
  RowSlots slots;
  KvLayer cache;
};

__device__ float warp_max(float v) {
  for (int apart = 16; apart > 0; apart /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, apart));
  return v;
}

// v[j]: dim lane + 32 j. As rmsnorm of kernels/cpu/float_rows.h, but for the order of the sum.
__device__ void norm_head(const Norm& norm, int D, float (&v)[kMostEach]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  double sum = 0;
#pragma unroll
  for (int j = 0; j < kMostEach; ++j) sum += static_cast<double>(v[j]) * static_cast<double>(v[j]);
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
  const double r = 1.0 / sqrt(sum / D + static_cast<double>(norm.epsilon));
#pragma unroll
  for (int j = 0; j < kMostEach; ++j) {
    const int d = lane + 32 * j;
    double normed = static_cast<double>(v[j]) * r;
    if (norm.gain != nullptr && d < D) normed *= static_cast<double>(norm.gain[d]);
    v[j] = static_cast<float>(normed);
  }
}

// A key or value (in shared memory) into its row of the page.
template <KvType kType>
__device__ void store_row(const float* x, int D, std::byte* row, std::byte* scales) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int padded = (D + 7) / 8 * 8;
  if constexpr (kType == KvType::kF32) {
    for (int d = lane; d < padded; d += 32) reinterpret_cast<float*>(row)[d] = d < D ? x[d] : 0.0f;
  } else if constexpr (kType == KvType::kF16) {
    for (int d = lane; d < padded; d += 32) {
      const float v = d < D ? fminf(fmaxf(x[d], -65504.0f), 65504.0f) : 0.0f;
      reinterpret_cast<__half*>(row)[d] = __float2half_rn(v);
    }
  } else if constexpr (kType == KvType::kInt8) {
    float most = 0;
    for (int d = lane; d < D; d += 32) most = fmaxf(most, fabsf(x[d]));
    most = warp_max(most);
    const float scale = __fdiv_rn(most, 127.0f);
    const float inverse = scale > 0 ? __fdiv_rn(1.0f, scale) : 0.0f;
    for (int d = lane; d < padded; d += 32) {
      const int q = d < D ? __float2int_rn(__fmul_rn(x[d], inverse)) : 0;
      reinterpret_cast<int8_t*>(row)[d] = static_cast<int8_t>(max(-127, min(127, q)));
    }
    if (lane == 0) *reinterpret_cast<float*>(scales) = scale;
  } else {
    for (int first = 0; first < padded; first += 32) {
      const int d = first + lane;
      const float v = d < D ? x[d] : 0.0f;
      const __half scale = __float2half_rn(__fdiv_rn(warp_max(fabsf(v)), 7.0f));
      const float s = __half2float(scale);
      const float inverse = s > 0 ? __fdiv_rn(1.0f, s) : 0.0f;
      const int q = max(-7, min(7, __float2int_rn(__fmul_rn(v, inverse)))) + 8;
      const int next = __shfl_down_sync(~0u, q, 1);
      if (lane % 2 == 0 && d < padded)
        reinterpret_cast<uint8_t*>(row)[d / 2] = static_cast<uint8_t>(q | next << 4);
      if (lane == 0) reinterpret_cast<__half*>(scales)[first / 32] = scale;
    }
  }
}

template <KvType kType>
__global__ void __launch_bounds__(32 * kWarps) rotate_kernel(RotateArguments a) {
  __shared__ float rows[kWarps][32 * kMostEach];
  let_next_start();
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int H = static_cast<int>(a.shape.H), G = static_cast<int>(a.shape.G);
  const int D = static_cast<int>(a.shape.D), half = D / 2;
  const int64_t t = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y) * kWarps + warp;
  if (head >= H + 2 * G) return;
  const bool is_q = head < H, is_v = head >= H + G;
  const int g = is_q ? head : is_v ? head - H - G : head - H;
  float* x = a.qkv + t * a.stride + (is_q ? a.columns.q : is_v ? a.columns.v : a.columns.k) + g * D;
  const int64_t position = a.slots.positions[t];
  float* mine = rows[warp];

  float v[kMostEach];
#pragma unroll
  for (int j = 0; j < kMostEach; ++j) v[j] = lane + 32 * j < D ? x[lane + 32 * j] : 0.0f;
  const Norm& norm = is_q ? a.q_norm : a.k_norm;
  if (!is_v && norm.there) norm_head(norm, D, v);
#pragma unroll
  for (int j = 0; j < kMostEach; ++j) mine[lane + 32 * j] = v[j];
  __syncwarp();
  if (!is_v) {
    // Halves rotated, as rotate of kernels/cpu/float_rows.h rounds.
    for (int i = lane; i < half; i += 32) {
      const float c = a.cosine[position * half + i], s = a.sine[position * half + i];
      const float first = mine[i], second = mine[i + half];
      mine[i] = __fsub_rn(__fmul_rn(first, c), __fmul_rn(second, s));
      mine[i + half] = __fadd_rn(__fmul_rn(second, c), __fmul_rn(first, s));
    }
    __syncwarp();
  }
  if (is_q) {
    for (int d = lane; d < D; d += 32) x[d] = mine[d];
    return;
  }
  const PageForm form = page_form(kType, D);
  const int32_t page =
      a.slots.tables[a.slots.sequences[t] * a.slots.table_stride + position / kPagePositions];
  std::byte* base = a.cache.pages + page * a.cache.page_bytes + g * a.cache.head_bytes;
  const int place = static_cast<int>(position % kPagePositions);
  store_row<kType>(
      mine, D, base + (is_v ? form.values : 0) + place * form.row_bytes,
      base + (is_v ? form.value_scales : form.key_scales) + place * form.groups * form.scale_bytes);
}

}  // namespace

int64_t kv_head_bytes(KvType type, int64_t D) { return page_form(type, static_cast<int>(D)).bytes; }

void rotate_and_store(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                      const QkvColumns& columns, int64_t T, const Norm& q_norm, const Norm& k_norm,
                      const float* cosine, const float* sine, const RowSlots& slots,
                      const KvLayer& cache) {
  if (shape.D > 32 * kMostEach) columns_refused("a head of attention", shape.D, 32 * kMostEach);
  const RotateArguments arguments{shape,  qkv,    stride, columns, q_norm,
                                  k_norm, cosine, sine,   slots,   cache};
  const dim3 grid(static_cast<unsigned>(T),
                  static_cast<unsigned>((shape.H + 2 * shape.G + kWarps - 1) / kWarps));
  const auto kernel = cache.type == KvType::kF32    ? rotate_kernel<KvType::kF32>
                      : cache.type == KvType::kF16  ? rotate_kernel<KvType::kF16>
                      : cache.type == KvType::kInt8 ? rotate_kernel<KvType::kInt8>
                                                    : rotate_kernel<KvType::kInt4>;
  launch_chained(stream, grid, dim3(32 * kWarps), 0, kernel, arguments);
}

}  // namespace trit::cuda
