// Attention of many rows of one sequence, which stand at neighbouring positions: 128 of them and one query head a block,
// on tensor cores (FlashAttention-2, arXiv 2307.08691). Queries, keys, values and weights in float16, sums in float32.
// Pages come into shared memory while the one before is worked on.

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/attention_prompt.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kPage = static_cast<int>(kPagePositions);
static_assert(kPromptRows == 16 * kWarps, "a warp has 16 rows");

// Halves from one row in shared memory to the next: 8 more, so that the rows of ldmatrix meet different banks.
__host__ __device__ constexpr int pitch(int D) { return D + 8; }
__host__ __device__ constexpr int page_halves(int D) { return kPage * pitch(D); }

// A page's keys and values (one head) into shared memory, zeros for positions from `count` on, which nobody may have
// written; float16 in the background.
template <KvType kType, int kD>
__device__ void fetch_page(const PromptArguments& a, const PageForm& form, const std::byte* page,
                           int count, __half* keys, __half* values) {
  const int pieces = (static_cast<int>(a.shape.D) + 7) / 8;  // of 8 dims
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kPage * pieces; i += kThreads) {
    const int row = i / pieces % kPage, piece = i % pieces;
    const bool is_value = i >= kPage * pieces;
    const std::byte* from = page + (is_value ? form.values : 0) + row * form.row_bytes;
    __half* to = (is_value ? values : keys) + row * pitch(kD) + 8 * piece;
    if constexpr (kType == KvType::kF16) {
      copy_async<16>(to, from + 16 * piece, row < count);
    } else {
      float v[8] = {};
      if (row < count)
        load_eight<kType>(from,
                          page + (is_value ? form.value_scales : form.key_scales) +
                              row * form.groups * form.scale_bytes,
                          piece, v);
      uint4 halves{pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7])};
      *reinterpret_cast<uint4*>(to) = halves;
    }
  }
}

template <KvType kType, int kD>
__global__ void __launch_bounds__(kThreads) prompt_kernel(PromptArguments a) {
  extern __shared__ __align__(16) __half shared[];
  wait_for_previous();
  constexpr int kSteps = kD / 16;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int D = static_cast<int>(a.shape.D);
  const PromptItem item = prompt_item(a, static_cast<int>(blockIdx.x));
  const int first = item.first, rows = item.rows, head = item.head, g = item.g;
  const int position = item.position, pages = (item.count() - 1) / kPage + 1;
  const PageForm form = page_form(kType, D);
  const auto page_at = [&](int i) {
    return a.cache.pages + item.table[i] * a.cache.page_bytes + g * a.cache.head_bytes;
  };
  const auto keys_of = [&](int stage) { return shared + stage * 2 * page_halves(kD); };
  const auto values_of = [&](int stage) { return keys_of(stage) + page_halves(kD); };

  // Columns past D are zero in both stages.
  const int filled = (D + 7) / 8 * 8;
  for (int i = static_cast<int>(threadIdx.x); i < 4 * kPage * (kD - filled); i += kThreads)
    shared[i / (kD - filled) * pitch(kD) + filled + i % (kD - filled)] = __half(0.0f);
  fetch_page<kType, kD>(a, form, page_at(0), position + rows, keys_of(0), values_of(0));
  copies_end();

  // The warp's 16 queries as left operands: lane has rows lane / 4 and lane / 4 + 8, columns 2 (lane % 4) and so on.
  uint32_t q[kSteps][4];
  const int row0 = 16 * warp + lane / 4;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = row0 + i % 2 * 8, d = 16 * s + lane % 4 * 2 + i / 2 * 8;
      const float* from = a.q + (first + row) * a.q_stride + head * D + d;
      const float low = row < rows && d < D ? from[0] * a.scale : 0.0f;
      const float high = row < rows && d + 1 < D ? from[1] * a.scale : 0.0f;
      q[s][i] = pack(low, high);
    }
  }

  float out[2 * kSteps][4] = {};
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  for (int page = 0; page < pages; ++page) {
    const int stage = page % 2;
    if (page + 1 < pages)
      fetch_page<kType, kD>(a, form, page_at(page + 1), position + rows - (page + 1) * kPage,
                            keys_of(1 - stage), values_of(1 - stage));
    copies_end();
    copies_wait<1>();
    __syncthreads();

    // Scores: 16 rows by 64 positions. A call of ldmatrix brings keys 16 j .. 16 j + 15, dims 16 s .. 16 s + 15.
    const __half* keys = keys_of(stage);
    float score[8][4] = {};
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint32_t k[4];
        load_matrices(
            k, keys + (16 * j + lane % 8 + lane / 16 * 8) * pitch(kD) + 16 * s + lane / 8 % 2 * 8);
        multiply(score[2 * j], q[s], k[0], k[1]);
        multiply(score[2 * j + 1], q[s], k[2], k[3]);
      }
    }
    if ((page + 1) * kPage > position + 16 * warp + 1) {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int p = page * kPage + 8 * j + lane % 4 * 2 + i % 2;
          if (p > position + row0 + i / 2 * 8) score[j][i] = -INFINITY;
        }
      }
    }

#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float high = most[half];
#pragma unroll
      for (int j = 0; j < 8; ++j)
        high = fmaxf(high, fmaxf(score[j][2 * half], score[j][2 * half + 1]));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float zero = high == -INFINITY ? 0.0f : high;
      const float keep = power_of_2(most[half] - zero);
      most[half] = high;
      sum[half] *= keep;
#pragma unroll
      for (int n = 0; n < 2 * kSteps; ++n) out[n][2 * half] *= keep, out[n][2 * half + 1] *= keep;
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          score[j][i] = power_of_2(score[j][i] - zero);
          sum[half] += score[j][i];
        }
      }
    }

    // Weighted values: the scores' places are those of a left operand.
    const __half* values = values_of(stage);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t p[4] = {pack(score[2 * j][0], score[2 * j][1]),
                             pack(score[2 * j][2], score[2 * j][3]),
                             pack(score[2 * j + 1][0], score[2 * j + 1][1]),
                             pack(score[2 * j + 1][2], score[2 * j + 1][3])};
#pragma unroll
      for (int n = 0; n < kSteps; ++n) {
        uint32_t v[4];
        load_matrices_turned(v, values + (16 * j + lane % 16) * pitch(kD) + 16 * n + lane / 16 * 8);
        multiply(out[2 * n], p, v[0], v[1]);
        multiply(out[2 * n + 1], p, v[2], v[3]);
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int half = 0; half < 2; ++half)
    finish_row<kD>(a, item, row0 + 8 * half, sum[half],
                   [&](int j) { return out[j / 2][2 * half + j % 2]; });
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  constexpr int kBytes = 4 * page_halves(kD) * 2;
  const auto kernel = prompt_kernel<kType, kD>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  launch_chained(stream, dim3(static_cast<unsigned>(arguments.items())), dim3(kThreads), kBytes,
                 kernel, arguments);
}

template <KvType kType>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.shape.D <= 64) return launch<kType, 64>(stream, arguments);
  if (arguments.shape.D <= 96) return launch<kType, 96>(stream, arguments);
  launch<kType, 128>(stream, arguments);
}

}  // namespace

void attention_of_tiles(StreamHandle stream, const HeadShape& shape, const float* q,
                        int64_t q_stride, const RowSlots& slots, const KvLayer& cache, float* out,
                        int64_t out_stride) {
  int device = 0, major = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  TRIT_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  const PromptArguments arguments{
      shape, q,   q_stride,   slots,
      cache, out, out_stride, 1.44269504f / sqrtf(static_cast<float>(shape.D))};
  if (major == 9) return attention_of_tiles_sm90(stream, arguments);
  if (cache.type == KvType::kF16) return launch<KvType::kF16>(stream, arguments);
  if (cache.type == KvType::kInt8) return launch<KvType::kInt8>(stream, arguments);
  launch<KvType::kInt4>(stream, arguments);
}

}  // namespace trit::cuda
