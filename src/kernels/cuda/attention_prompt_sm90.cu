// attention_prompt.cu on Hopper: two groups of four warps with 64 rows of the tile each, products by wgmma straight from the
// pages in shared memory. While a group makes weights of one page's scores, its scores of the next page and the sums
// of the last run on (FlashAttention-3, arXiv 2407.08608).

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/hopper.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kPage = static_cast<int>(kPagePositions);
constexpr int kStages = 5;  // pages in shared memory: three to come, two in use
constexpr int kBlockBytes =
    kPage * 128;  // 64 positions of 64 dims, as wgmma takes them with 128-byte swizzle
static_assert(kPromptRows == 128 && kPage == 64);

struct PromptArguments {
  HeadShape shape;
  const float* q;
  int64_t q_stride;
  RowSlots slots;
  KvLayer cache;
  float* out;
  int64_t out_stride;
  float scale;  // of scores, for exponentials of base 2
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int kCount>
__device__ inline void pin(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}

#define TRIT_F8(c, i)                                                                         \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), \
      "+f"(c[i + 6]), "+f"(c[i + 7])
#define TRIT_F32(c, i) TRIT_F8(c, i), TRIT_F8(c, i + 8), TRIT_F8(c, i + 16), TRIT_F8(c, i + 24)
#define TRIT_N32                                                                               \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, "                                                                                      \
  "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TRIT_N64                                                                            \
  TRIT_N32                                                                                  \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, " \
  "%49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// c [64, 64] = (add: +) a [64, 16] b: [64, 16]^T with rows of dims (kTurned 0) or [16, 64] (1).
template <int kTurned>
__device__ inline void product(float (&c)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" TRIT_N32
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}\n"
      : TRIT_F32(c, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),
        "n"(kTurned));
}
template <int kTurned>
__device__ inline void product(float (&c)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" TRIT_N64
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}\n"
      : TRIT_F32(c, 0), TRIT_F32(c, 32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),
        "n"(kTurned));
}

// As hopper::swizzled_rows, with the distance to the next 64 dims, which operands with dims along their rows need.
__device__ inline uint64_t swizzled_columns(const void* start) {
  return static_cast<uint64_t>((shared_address(start) & 0x3FFFF) >> 4) |
         uint64_t{kBlockBytes / 16} << 16 | uint64_t{1024 / 16} << 32 | uint64_t{1} << 62;
}

__device__ inline float power_of_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A page's keys, then values (one head), into shared memory, zeros for positions from `count` on and dims from D on;
// float16 in the background.
template <KvType kType, int kD>
__device__ void fetch_page(const PageForm& form, int D, const std::byte* page, int count,
                           std::byte* to) {
  constexpr int kPieces = kD / 8;  // of 8 dims
  const int pieces = (D + 7) / 8;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kPage * kPieces; i += kThreads) {
    const int row = i / kPieces % kPage, piece = i % kPieces;
    const bool is_value = i >= kPage * kPieces, there = row < count && piece < pieces;
    const std::byte* from = page + (is_value ? form.values : 0) + row * form.row_bytes;
    std::byte* at = to + (is_value ? kD / 64 * kBlockBytes : 0) + piece / 8 * kBlockBytes +
                    row * 128 + (piece % 8 ^ row % 8) * 16;
    if constexpr (kType == KvType::kF16) {
      copy_16_async(at, there ? from + 16 * piece : page, there);
    } else {
      float v[8] = {};
      if (there)
        load_eight<kType>(from,
                          page + (is_value ? form.value_scales : form.key_scales) +
                              row * form.groups * form.scale_bytes,
                          piece, v);
      *reinterpret_cast<uint4*>(at) =
          uint4{pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7])};
    }
  }
}

// A group's 64 rows: a thread has two of them (halves), 16 warp + lane / 4 and 8 below.
template <int kD>
struct Group {
  uint32_t q[kD / 16][4];
  float out[kD / 2] = {};
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {};

  // Queues the scores of the page whose keys these are.
  __device__ void begin_scores(const std::byte* keys, float (&score)[32]) {
    pin(score);
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < kD / 16; ++s)
      product<0>(score, q[s], hopper::swizzled_rows(keys + s / 4 * kBlockBytes + s % 4 * 32),
                 s > 0);
    hopper::products_end();
  }

  // Scores become weights p, those of positions above `last` (of the rows) 0; keep: what sums so far count for.
  __device__ void weigh(float (&score)[32], int first, const int (&last)[2], bool masked,
                        uint32_t (&p)[4][4], float (&keep)[2]) {
    const int column = static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float high = most[half];
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        float& s = score[j / 2 * 4 + 2 * half + j % 2];
        if (masked && first + j / 2 * 8 + column + j % 2 > last[half]) s = -INFINITY;
        high = fmaxf(high, s);
      }
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));  // finite: every row sees position 0
      keep[half] = power_of_2(most[half] - high);
      most[half] = high;
      float all = sum[half] * keep[half];
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        float& s = score[j / 2 * 4 + 2 * half + j % 2];
        s = power_of_2(s - high);
        all += s;
      }
      sum[half] = all;
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) p[i / 4][i % 4] = pack(score[2 * i], score[2 * i + 1]);
  }

  __device__ void rescale(const float (&keep)[2]) {
    if (!__any_sync(~0u, keep[0] != 1.0f || keep[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < kD / 2; ++i) out[i] *= keep[i / 2 % 2];
  }

  __device__ void begin_sums(const std::byte* values, uint32_t (&p)[4][4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) hopper::pin(p[j]);
    pin(out);
    hopper::products_begin();
#pragma unroll
    for (int j = 0; j < 4; ++j) product<1>(out, p[j], swizzled_columns(values + j * 2048), true);
    hopper::products_end();
  }
};

#endif

template <KvType kType, int kD>
__global__ void __launch_bounds__(kThreads, 1) prompt_kernel(PromptArguments a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte shared[];
  constexpr int kKeyBytes = kD / 64 * kBlockBytes;
  let_next_start();
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int D = static_cast<int>(a.shape.D);
  // Late tiles have most to do: they go first.
  const int tile = static_cast<int>(gridDim.y - 1 - blockIdx.y);
  const int first = a.slots.tiles[2 * tile], rows = a.slots.tiles[2 * tile + 1];
  const int head = static_cast<int>(blockIdx.x);
  const int g = head / static_cast<int>(a.shape.H / a.shape.G);
  const int position = a.slots.positions[first];  // of row 0; row r is at position + r
  const int count = position + rows, pages = (count - 1) / kPage + 1;
  // The group's: none where it has no rows.
  const int group_rows = min(rows - warp / 4 * 64, 64);
  const int mine = group_rows <= 0 ? 0 : (position + warp / 4 * 64 + group_rows - 1) / kPage + 1;
  const int32_t* table = a.slots.tables + a.slots.sequences[first] * a.slots.table_stride;
  const PageForm form = page_form(kType, D);
  const auto stage_of = [&](int page) { return shared + page % kStages * 2 * kKeyBytes; };
  const auto fetch = [&](int page) {
    if (page < pages)
      fetch_page<kType, kD>(
          form, D, a.cache.pages + table[page] * a.cache.page_bytes + g * a.cache.head_bytes,
          count - page * kPage, stage_of(page));
    copies_end();
  };
  // What other threads have fetched, as wgmma sees it.
  const auto arrived = [&] {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
  };
  for (int page = 0; page < 3; ++page) fetch(page);

  Group<kD> group;
  const int row0 = 16 * warp + lane / 4;
#pragma unroll
  for (int s = 0; s < kD / 16; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = row0 + i % 2 * 8, d = 16 * s + lane % 4 * 2 + i / 2 * 8;
      float2 two{};
      if (row < rows && d < D)
        two = *reinterpret_cast<const float2*>(a.q + (first + row) * a.q_stride + head * D + d);
      group.q[s][i] = pack(two.x * a.scale, two.y * a.scale);
    }
    hopper::pin(group.q[s]);
  }
  const int last[2] = {position + row0, position + row0 + 8};

  float even[32] = {}, odd[32] = {};
  copies_wait<2>();
  arrived();
  group.begin_scores(stage_of(0), even);
  hopper::products_wait<0>();
  pin(even);
  const auto step = [&](int page, float(&score)[32], float(&next)[32]) {
    copies_wait<1>();
    arrived();  // page + 1; and all are done with page - 2
    fetch(page + 3);
    if (page >= mine) return;
    // The next page's scores and the sums of the last one are computed behind this page's weights. Past the last page
    // there is one to compute for nobody: what was in that stage before.
    group.begin_scores(stage_of(page + 1), next);
    uint32_t p[4][4];
    float keep[2];
    const bool masked = (page + 1) * kPage > position + 16 * warp + 1;
    if (masked)
      group.weigh(score, page * kPage, last, true, p, keep);
    else
      group.weigh(score, page * kPage, last, false, p, keep);
    hopper::products_wait<0>();
    pin(group.out);
    pin(next);
    group.rescale(keep);
    group.begin_sums(stage_of(page) + kKeyBytes, p);
  };
  for (int page = 0; page < pages; page += 2) {
    step(page, even, odd);
    if (page + 1 < pages) step(page + 1, odd, even);
  }
  hopper::products_wait<0>();
  pin(group.out);

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = group.sum[half];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const int row = row0 + 8 * half;
    if (row >= rows) continue;
    const float one = 1.0f / sum;
    float* to = a.out + (first + row) * a.out_stride + head * D;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n) {
      const int d = 8 * n + lane % 4 * 2;
      if (d >= D) continue;
      to[d] = group.out[4 * n + 2 * half] * one;
      to[d + 1] = group.out[4 * n + 2 * half + 1] * one;
    }
  }
#endif
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  constexpr int kBytes = kStages * 2 * kD / 64 * kBlockBytes;
  const auto kernel = prompt_kernel<kType, kD>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  launch_chained(stream,
                 dim3(static_cast<unsigned>(arguments.shape.H),
                      static_cast<unsigned>(arguments.slots.tile_count)),
                 dim3(kThreads), kBytes, kernel, arguments);
}

template <KvType kType>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.shape.D <= 64) return launch<kType, 64>(stream, arguments);
  launch<kType, 128>(stream, arguments);
}

}  // namespace

void attention_of_tiles_sm90(StreamHandle stream, const HeadShape& shape, const float* q,
                             int64_t q_stride, const RowSlots& slots, const KvLayer& cache,
                             float* out, int64_t out_stride) {
  const PromptArguments arguments{
      shape, q,   q_stride,   slots,
      cache, out, out_stride, 1.44269504f / sqrtf(static_cast<float>(shape.D))};
  if (cache.type == KvType::kF16) return launch<KvType::kF16>(stream, arguments);
  if (cache.type == KvType::kInt8) return launch<KvType::kInt8>(stream, arguments);
  launch<KvType::kInt4>(stream, arguments);
}

}  // namespace trit::cuda
