// Queries and keys turned to their positions, keys and values into their pages. One warp a head.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/rotate.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kMostEach = 8;  // dims a lane holds: heads of up to 256

struct RotateArguments {
  HeadShape shape;
  float* qkv;
  int64_t stride;
  Rotation rotation;
  RowSlots slots;
  KvLayer cache;
};

template <KvType kType>
__global__ void __launch_bounds__(32 * kWarps) rotate_kernel(RotateArguments a) {
  __shared__ float rows[kWarps][32 * kMostEach];
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int H = static_cast<int>(a.shape.H), G = static_cast<int>(a.shape.G);
  const int D = static_cast<int>(a.shape.D);
  const Rotation& r = a.rotation;
  const int64_t t = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y) * kWarps + warp;
  if (head >= H + 2 * G) return;
  const bool is_q = head < H, is_v = head >= H + G;
  const int g = is_q ? head : is_v ? head - H - G : head - H;
  float* x = a.qkv + t * a.stride + (is_q ? r.columns.q : is_v ? r.columns.v : r.columns.k) + g * D;
  const int64_t position = a.slots.positions[t];
  float* mine = rows[warp];

  float v[kMostEach];
#pragma unroll
  for (int j = 0; j < kMostEach; ++j) v[j] = lane + 32 * j < D ? x[lane + 32 * j] : 0.0f;
  const Norm& norm = is_q ? r.q_norm : r.k_norm;
  if (!is_v && norm.there) norm_head(norm, D, v);
  const int64_t angles = position * (D / 2);
  turn_head(v, D, is_v ? nullptr : r.cosine + angles, r.sine + angles, mine);
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
                      int64_t T, const Rotation& rotation, const RowSlots& slots,
                      const KvLayer& cache) {
  if (shape.D > 32 * kMostEach) columns_refused("a head of attention", shape.D, 32 * kMostEach);
  const RotateArguments arguments{shape, qkv, stride, rotation, slots, cache};
  const dim3 grid(static_cast<unsigned>(T),
                  static_cast<unsigned>((shape.H + 2 * shape.G + kWarps - 1) / kWarps));
  const auto kernel = cache.type == KvType::kF32    ? rotate_kernel<KvType::kF32>
                      : cache.type == KvType::kF16  ? rotate_kernel<KvType::kF16>
                      : cache.type == KvType::kInt8 ? rotate_kernel<KvType::kInt8>
                                                    : rotate_kernel<KvType::kInt4>;
  launch_chained(stream, grid, dim3(32 * kWarps), 0, kernel, arguments);
}

}  // namespace trit::cuda
