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

// The same of heads of kD dims without norms, four dims a lane: kEach heads one behind the other, whose loads are under way
// together.
template <KvType kType, int kD, int kEach>
__global__ void __launch_bounds__(32 * kWarps) rotate_fours(RotateArguments a) {
  constexpr int kLanes = kD / 4, kBeside = 32 / kLanes;
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int H = static_cast<int>(a.shape.H), G = static_cast<int>(a.shape.G), i = lane % kLanes;
  const Rotation& r = a.rotation;
  const int64_t t = blockIdx.x;
  const int first =
      (static_cast<int>(blockIdx.y) * kWarps + warp) * kEach * kBeside + lane / kLanes;
  const auto head_at = [&](int head) {
    const int64_t column = head < H       ? r.columns.q + head * kD
                           : head < H + G ? r.columns.k + (head - H) * kD
                                          : r.columns.v + (head - H - G) * kD;
    return reinterpret_cast<float4*>(a.qkv + t * a.stride + column) + i;
  };
  float4 v[kEach];
#pragma unroll
  for (int n = 0; n < kEach; ++n) {
    const int head = first + n * kBeside;
    v[n] = head < H + 2 * G ? __ldcg(head_at(head)) : float4{};
  }
  const int64_t position = a.slots.positions[t],
                angles = position * (kD / 2) + i % (kLanes / 2) * 4;
  const float4 c = *reinterpret_cast<const float4*>(r.cosine + angles),
               s = *reinterpret_cast<const float4*>(r.sine + angles);
  const PageForm form = page_form(kType, kD);
  std::byte* page =
      a.cache.pages +
      a.slots.tables[a.slots.sequences[t] * a.slots.table_stride + position / kPagePositions] *
          a.cache.page_bytes;
  const int place = static_cast<int>(position % kPagePositions);
  const bool second = i >= kLanes / 2;
  const auto turned = [&](float mine, float cosine, float sine) {
    const float other = __shfl_xor_sync(~0u, mine, kLanes / 2);
    const float x = __fmul_rn(mine, cosine), y = __fmul_rn(other, sine);
    return second ? __fadd_rn(x, y) : __fsub_rn(x, y);
  };
#pragma unroll
  for (int n = 0; n < kEach; ++n) {
    const int head = first + n * kBeside;
    float4 x{turned(v[n].x, c.x, s.x), turned(v[n].y, c.y, s.y), turned(v[n].z, c.z, s.z),
             turned(v[n].w, c.w, s.w)};
    const bool is_v = head >= H + G;
    if (head < H) *head_at(head) = x;
    if (is_v) x = v[n];
    const int g = is_v ? head - H - G : head - H;
    std::byte* base = page + g * a.cache.head_bytes;
    const bool stores = head >= H && head < H + 2 * G;
    if (!__any_sync(~0u, stores)) continue;
    store_fours<kType, kD>(
        x, stores ? base + (is_v ? form.values : 0) + place * form.row_bytes : nullptr,
        base + (is_v ? form.value_scales : form.key_scales) +
            place * form.groups * form.scale_bytes);
  }
}

template <KvType kType>
void launch(StreamHandle stream, const RotateArguments& a, int64_t T) {
  constexpr int64_t kFew = 64;  // rows of which each head has a warp
  const int64_t heads = a.shape.H + 2 * a.shape.G, D = a.shape.D;
  const auto run = [&](int64_t of_warp, auto kernel) {
    const dim3 grid(static_cast<unsigned>(T),
                    static_cast<unsigned>((heads + kWarps * of_warp - 1) / (kWarps * of_warp)));
    launch_chained(stream, grid, dim3(32 * kWarps), 0, kernel, a);
  };
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  const Rotation& r = a.rotation;
  const bool fours = !r.q_norm.there && !r.k_norm.there && a.stride % 4 == 0 && aligned(a.qkv) &&
                     r.columns.q % 4 == 0 && r.columns.k % 4 == 0 && r.columns.v % 4 == 0 &&
                     aligned(r.cosine) && aligned(r.sine);
  if (fours && D == 128)
    return T <= kFew ? run(1, rotate_fours<kType, 128, 1>) : run(4, rotate_fours<kType, 128, 4>);
  if (fours && D == 64)
    return T <= kFew ? run(2, rotate_fours<kType, 64, 1>) : run(8, rotate_fours<kType, 64, 4>);
  run(1, rotate_kernel<kType>);
}

}  // namespace

int64_t kv_head_bytes(KvType type, int64_t D) { return page_form(type, static_cast<int>(D)).bytes; }

void rotate_and_store(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                      int64_t T, const Rotation& rotation, const RowSlots& slots,
                      const KvLayer& cache) {
  if (shape.D > 32 * kMostEach) columns_refused("a head of attention", shape.D, 32 * kMostEach);
  const RotateArguments arguments{shape, qkv, stride, rotation, slots, cache};
  switch (cache.type) {
    case KvType::kF32:
      return launch<KvType::kF32>(stream, arguments, T);
    case KvType::kF16:
      return launch<KvType::kF16>(stream, arguments, T);
    case KvType::kInt8:
      return launch<KvType::kInt8>(stream, arguments, T);
    case KvType::kInt4:
      return launch<KvType::kInt4>(stream, arguments, T);
  }
}

}  // namespace trit::cuda
