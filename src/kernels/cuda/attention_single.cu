// Attention of single rows over their cached positions, on tensor cores (flash decoding: positions split over blocks).
// A block takes up to 16 query heads of one key/value head, as the rows of its products, and 128 positions a round: a
// warp multiplies the keys of 32 of them, and its quarter of the dims of all values, so that warps exchange weights and
// nothing else. Keys and values lie in shared memory as in their page; the next round's are under way as soon as these
// are used. What chunks of a row find is put together in order, by their block or by the last of their blocks to end.
//
// With a rotation (rotate_and_attend) the rows of the call are of different sequences: old positions are fetched before
// the kernel ahead has ended, and the row's own key and value come from the projections, not from the page.

#include "kernels/cuda/attention_round.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

using namespace single;
constexpr int kMergers = 128;  // threads

// The block's queries, ready to multiply, and with a rotation the row's own key and value, into shared memory and from
// one block into the page. A warp takes every fourth of them.
template <KvType kType, int kD, int kHalves, bool kRotates>
__device__ void make_queries(const SingleRows& a, const Work& w, const PageForm& form,
                             BlockMemory<kType, kD, 8 * kHalves>& block) {
  constexpr int kHeads = 8 * kHalves, kOwn = kRotates ? 2 : 0, kDims = kD / 32;
  constexpr int kJobs = (kHeads + kOwn + kWarps - 1) / kWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int D = static_cast<int>(a.shape.D);
  const int own = kRotates && w.end_chunk == w.chunks ? 2 : 0;
  const float* row = a.q + w.row * a.q_stride;
  float v[kJobs][kDims];
  // Job 0 and 1 are the key and the value.
#pragma unroll
  for (int i = 0; i < kJobs; ++i) {
    const int job = warp + kWarps * i, head = job - own;
    const float* from = row;
    if (kRotates)
      from += job < own ? (job == 0 ? a.rotation.columns.k : a.rotation.columns.v) + w.g * D
                        : a.rotation.columns.q;
    if (job >= own) from += (w.first_head + head) * D;
#pragma unroll
    for (int j = 0; j < kDims; ++j)
      v[i][j] = head < w.heads && lane + 32 * j < D ? __ldcg(from + lane + 32 * j) : 0.0f;
  }
  float* turned = reinterpret_cast<float*>(block.weights) + warp * kD;
#pragma unroll
  for (int i = 0; i < kJobs; ++i) {
    const int job = warp + kWarps * i, head = job - own;
    if (head >= kHeads) break;
    const bool is_value = own > 0 && job == 1;
    if (kRotates && head < w.heads) {
      const Norm& norm = job == 0 && own > 0 ? a.rotation.k_norm : a.rotation.q_norm;
      if (norm.there && !is_value) norm_head(norm, D, v[i]);
      turn_head(v[i], D, is_value ? nullptr : block.angles[0], block.angles[1], turned);
      if (job < own) {
        store_row<kType>(turned, D, block.fresh[job], block.fresh_scales[job]);
        if (w.stores) {
          std::byte* page = a.cache.pages + w.table[w.position / kPage] * a.cache.page_bytes +
                            w.g * a.cache.head_bytes;
          const int place = w.position % kPage;
          store_row<kType>(turned, D, page + (is_value ? form.values : 0) + place * form.row_bytes,
                           page + (is_value ? form.value_scales : form.key_scales) +
                               place * form.groups * form.scale_bytes);
        }
      } else {
#pragma unroll
        for (int j = 0; j < kDims; ++j) v[i][j] = turned[lane + 32 * j];
      }
      __syncwarp();
    }
    if (job < own) continue;
    const float scale = a.scale * 1.44269504f;  // for exponentials of base 2
#pragma unroll
    for (int j = 0; j < kDims; ++j)
      block.queries[head][query_column<kType>(lane + 32 * j)] = __float2half_rn(v[i][j] * scale);
  }
}

// kHalves: 1 up to 8 heads.
template <KvType kType, int kD, int kHalves, bool kRotates>
__global__ void __launch_bounds__(kThreads, kType == KvType::kInt4 ? 4 : 3)
    single_kernel(SingleRows a) {
  extern __shared__ __align__(16) std::byte shared[];
  constexpr int kHeads = 8 * kHalves;
  auto& block = *reinterpret_cast<BlockMemory<kType, kD, kHeads>*>(shared);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const PageForm form = page_form(kType, static_cast<int>(a.shape.D));
  const Work w = work_of(a, kHeads);
  if (w.first_chunk >= w.chunks) return wait_for_previous();
  Warp<kType, kD, kHalves, kRotates> work{a, w, form, block, warp, lane};
  if (!kRotates) wait_for_previous();
  constexpr int kStages = decltype(work)::kStages;
#pragma unroll
  for (int i = 0; i < kStages; ++i) {
    work.fetch_keys(w.begin() + i * kRound);
    work.fetch_values(w.begin() + i * kRound);
  }
  if (kRotates) {
    for (int i = static_cast<int>(threadIdx.x); i < kD; i += kThreads)
      reinterpret_cast<uint32_t*>(block.fresh)[i] = 0;
    const int half = static_cast<int>(a.shape.D) / 2;
    for (int i = static_cast<int>(threadIdx.x); i < half; i += kThreads) {
      block.angles[0][i] = a.rotation.cosine[static_cast<int64_t>(w.position) * half + i];
      block.angles[1][i] = a.rotation.sine[static_cast<int64_t>(w.position) * half + i];
    }
    __syncthreads();
    wait_for_previous();
  }
  make_queries<kType, kD, kHalves, kRotates>(a, w, form, block);
  __syncthreads();

  constexpr int kTiles = kD / 32;
  const int D = static_cast<int>(a.shape.D), size = part_size(D);
  const int64_t of_head = static_cast<int64_t>(a.chunks) * size;
  float* parts =
      a.partials + (static_cast<int64_t>(blockIdx.z) * a.shape.H + w.first_head) * of_head;
  float* to = a.out + w.row * a.out_stride + w.first_head * D;
  Sums<kTiles> all, of_chunk, found;
  all.clear();
  int turn = 0;
  for (int chunk = w.first_chunk; chunk < w.end_chunk; ++chunk) {
    of_chunk.clear();
    const int end = min((chunk + 1) * w.chunk, w.count());
    for (int round = chunk * w.chunk; round < end; round += kRound, turn ^= 1) {
      copies_wait<2 * kStages - (kType == KvType::kInt8 ? 2 : 1)>();  // int8: values' scales too
      __syncwarp();
      work.put_key(round);
      if (kType == KvType::kInt8) work.put_value(round);
      work.weigh(round, turn);
      __syncthreads();
      work.fetch_keys(round + kStages * kRound);
      if (kType != KvType::kInt8) {
        copies_wait<2 * kStages - 1>();
        __syncwarp();
        work.put_value(round);
      }
      work.sum_values(round, turn, found);
      __syncwarp();
      work.fetch_values(round + kStages * kRound);
      of_chunk.template add<kHalves>(found);
    }
    if (w.whole()) {
      all.template add<kHalves>(of_chunk);
      continue;
    }
    float* part = parts + chunk * size;
    work.each_sum(of_chunk,
                  [&](int head, int d, float v, int) { part[head * of_head + 4 + d] = v; });
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const int head = lane / 4 + 8 * half;
      if (warp > 0 || lane % 4 > 0 || head >= w.heads) continue;
      part[head * of_head] = of_chunk.most[half];
      part[head * of_head + 1] = of_chunk.sum[half];
    }
  }
  if (!w.whole() && a.merges_apart) return;
  if (w.whole()) {
    const float one[2] = {1.0f / all.sum[0], 1.0f / all.sum[1]};
    work.each_sum(all,
                  [&](int head, int d, float v, int half) { to[head * D + d] = v * one[half]; });
    return;
  }

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    // Wraps to zero with the last of them, for the next time.
    uint32_t* counter = a.counters + blockIdx.z * gridDim.y + blockIdx.y;
    const auto others = static_cast<unsigned>((w.chunks - 1) / a.each);
    block.last = atomicInc(counter, others) == others;
  }
  __syncthreads();
  if (!block.last) return;
  __threadfence();
  merge_chunks<kD>(a, w, parts, to, reinterpret_cast<ChunkWeight(*)[kMostChunks]>(block.warps));
}

// What many chunks of a head have found, put together as merge_chunks does it: a block for each head, all loads at once.
__global__ void __launch_bounds__(kMergers) merge_kernel(SingleRows a) {
  __shared__ ChunkWeight weights[kMostChunks];
  wait_for_previous();
  const int64_t row = a.row(blockIdx.z);
  const int count = a.slots.positions[row] + 1, chunk = chunk_of(count);
  const int chunks = (count + chunk - 1) / chunk;
  if (chunks <= a.each) return;  // a block had all of them
  const int D = static_cast<int>(a.shape.D), size = part_size(D), d = static_cast<int>(threadIdx.x);
  const int64_t head = blockIdx.x;
  const float* part =
      a.partials + (static_cast<int64_t>(blockIdx.z) * a.shape.H + head) * a.chunks * size;
  float found[kMostChunks];
#pragma unroll
  for (int c = 0; c < kMostChunks; ++c)
    found[c] = c < chunks && d < D ? __ldcg(part + c * size + 4 + d) : 0.0f;
  if (d < 32) weigh_chunks(part, size, chunks, weights);
  __syncthreads();
  float out = 0, sum = 0;
#pragma unroll
  for (int c = 0; c < kMostChunks; ++c) {
    if (c >= chunks) break;
    const ChunkWeight& weight = weights[c];
    sum = together(sum, weight.keep, weight.sum, weight.factor);
    out = together(out, weight.keep, found[c], weight.factor);
  }
  if (d < D) a.out[row * a.out_stride + head * D + d] = out * (1.0f / sum);
}

template <KvType kType, int kD, int kHalves, bool kRotates>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  constexpr int kBytes = sizeof(BlockMemory<kType, kD, 8 * kHalves>);
  static_assert(8 * kHalves * kMostChunks * sizeof(ChunkWeight) <=
                sizeof(WarpMemory<kType, kD>) * kWarps);
  const auto kernel = single_kernel<kType, kD, kHalves, kRotates>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  launch_chained(stream, grid, dim3(kThreads), kBytes, kernel, rows);
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid, bool rotates) {
  const bool few = rows.shape.H / rows.shape.G <= 8;
  if (few && rotates) return launch<kType, kD, 1, true>(stream, rows, grid);
  if (few) return launch<kType, kD, 1, false>(stream, rows, grid);
  if (rotates) return launch<kType, kD, 2, true>(stream, rows, grid);
  launch<kType, kD, 2, false>(stream, rows, grid);
}

}  // namespace

void attention_of_singles(StreamHandle stream, const SingleRows& rows, dim3 grid, bool rotates) {
  const bool narrow = rows.shape.D <= 64;
  if (rows.cache.type == KvType::kInt4)  // a quarter of 64 dims would be less than a word of a lane
    return launch<KvType::kInt4, 128>(stream, rows, grid, rotates);
  if (rows.cache.type == KvType::kInt8)
    return narrow ? launch<KvType::kInt8, 64>(stream, rows, grid, rotates)
                  : launch<KvType::kInt8, 128>(stream, rows, grid, rotates);
  narrow ? launch<KvType::kF16, 64>(stream, rows, grid, rotates)
         : launch<KvType::kF16, 128>(stream, rows, grid, rotates);
}

void merge_singles(StreamHandle stream, const SingleRows& rows, int64_t count) {
  launch_chained(stream, dim3(static_cast<unsigned>(rows.shape.H), 1, static_cast<unsigned>(count)),
                 dim3(kMergers), 0, merge_kernel, rows);
}

}  // namespace trit::cuda
