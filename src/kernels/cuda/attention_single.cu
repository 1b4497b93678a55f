// Attention of single rows over their cached positions, on tensor cores (flash decoding: positions split over blocks).
// A block takes up to 16 query heads of one key/value head, as the rows of its products, and 128 positions a round: a
// warp multiplies the keys of 32 of them, and its quarter of the dims of all values, so that warps exchange weights and
// nothing else. Keys and values lie in shared memory as in their page; the next round's are under way as soon as these
// are used. What chunks of a row find is put together in order, by their block or by the last of their blocks to end.
//
// With a rotation (rotate_and_attend) the rows of the call are of different sequences: old positions are fetched before
// the kernel ahead has ended, and the row's own key and value come from the projections, not from the page.

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = kSingleWarps, kThreads = 32 * kWarps;
constexpr int kPage = static_cast<int>(kPagePositions);
constexpr int kPitch = kRound + 8;  // halves from row to row of weights: ldmatrix meets all banks
static_assert(kChunkUnit == kRound && kRound == 2 * kPage && kPage % kEach == 0);

// What two chunks' sums count for when they are put together.
__device__ inline float together(float sum, float keep, float more, float factor) {
  return __fmaf_rn(sum, keep, __fmul_rn(more, factor));
}

template <KvType kType, int kD, int kHeads>
struct BlockMemory {
  WarpMemory<kType, kD> warps[kWarps];
  __half queries[kHeads][kD + 8];
  // Of a round and the next: the warps' weights, with what they are relative to: the largest score, their sum, and the
  // scale of values (int8).
  __half weights[2][kHeads][kPitch];
  float most[2][kWarps][kHeads], sum[2][kWarps][kHeads], scale[2][kWarps][kHeads];
  // The row's own key and value as its page has them.
  alignas(16) std::byte fresh[2][kD * 2], fresh_scales[2][16];
  float angles[2][kD / 2];  // cosines and sines of the row's position
  bool last;
};

// The row of the call and the part of its work that a block has.
struct Work {
  int64_t row;
  int g, first_head, heads, position, chunk, first_chunk, end_chunk, chunks;
  const int32_t* table;
  bool stores;  // the new key and value
  __device__ int count() const { return position + 1; }
  __device__ int begin() const { return first_chunk * chunk; }
  __device__ int end() const { return min(end_chunk * chunk, count()); }
  __device__ bool whole() const { return end_chunk - first_chunk == chunks; }
};
__device__ Work work_of(const SingleRows& a, int most_heads) {
  Work w;
  w.row = a.row(blockIdx.z);
  const int G = static_cast<int>(a.shape.G), group = static_cast<int>(a.shape.H) / G;
  const int parts = static_cast<int>(gridDim.y) / G, part = static_cast<int>(blockIdx.y) % parts;
  w.g = static_cast<int>(blockIdx.y) / parts;
  w.first_head = w.g * group + part * most_heads;
  w.heads = min(most_heads, group - part * most_heads);
  w.position = a.slots.positions[w.row];
  w.table = a.slots.tables + a.slots.sequences[w.row] * a.slots.table_stride;
  w.chunk = chunk_of(w.count());
  w.chunks = (w.count() + w.chunk - 1) / w.chunk;
  w.first_chunk = static_cast<int>(blockIdx.x) * a.each;
  w.end_chunk = min(w.first_chunk + a.each, w.chunks);
  w.stores = part == 0 && w.end_chunk == w.chunks;
  return w;
}

// The sums of a row's heads over some positions, as a warp has them: heads lane / 4 and lane / 4 + 8 of all, the dims of
// kTiles tiles.
template <int kTiles>
struct Sums {
  float most[2], sum[2], out[kTiles][4];
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 2; ++i) most[i] = -INFINITY, sum[i] = 0;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) out[t][0] = out[t][1] = out[t][2] = out[t][3] = 0;
  }
  // More positions, behind these.
  template <int kHalves>
  __device__ void add(const Sums& more) {
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const float high = fmaxf(most[half], more.most[half]);
      const float keep = power_of_2(most[half] - high), factor = power_of_2(more.most[half] - high);
      most[half] = high;
      sum[half] = together(sum[half], keep, more.sum[half], factor);
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i)
          out[t][i] = together(out[t][i], keep, more.out[t][i], factor);
      }
    }
  }
};

// A block's warp at work on its rounds.
template <KvType kType, int kD, int kHalves, bool kRotates>
struct Warp {
  static constexpr int kHeads = 8 * kHalves, kTiles = kD / 32;
  using Block = BlockMemory<kType, kD, kHeads>;
  using Memory = WarpMemory<kType, kD>;
  const SingleRows& a;
  const Work& w;
  const PageForm& form;
  Block& block;
  Memory& mine;
  int warp, lane;

  // Positions from here on are not in the pages.
  __device__ int limit() const { return kRotates ? w.position : w.count(); }
  __device__ const std::byte* page_of(int p) const {
    return a.cache.pages + w.table[p / kPage] * a.cache.page_bytes + w.g * a.cache.head_bytes;
  }
  __device__ int scales_bytes(int positions) const {
    return positions * form.groups * form.scale_bytes;
  }
  // The number of bytes of scales, in 16s, that hold those of so many positions.
  __device__ int scales_there(int positions) const { return (scales_bytes(positions) + 15) / 16 * 16; }

  __device__ void fetch_keys(int round) {
    const int first = round + kEach * warp, rows = min(limit() - first, kEach);
    if (round < w.end() && rows > 0) {
      const std::byte* page = page_of(first);
      const int place = first % kPage;
      fetch_rows<Memory::kKeyRow, kEach>(mine.keys, page + place * form.row_bytes, form.row_bytes,
                                         form.row_bytes, rows);
      if constexpr (kType != KvType::kF16)
        fetch_scales(mine.key_scales, page + form.key_scales + scales_bytes(place),
                     scales_bytes(kEach), scales_there(rows));
    }
    copies_end();
  }
  __device__ void fetch_values(int round) {
    constexpr int kBytes = Memory::kValueRow;
    if (round < w.end()) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int first = round + kPage * i, rows = max(min(limit() - first, kPage), 0);
        const std::byte* page = rows > 0 ? page_of(first) : a.cache.pages;
        const std::byte* from = form.row_bytes > warp * kBytes ? page + form.values + warp * kBytes : page;
        fetch_rows<kBytes, kPage>(mine.values + i * kPage * kBytes, from, form.row_bytes,
                                  form.row_bytes - warp * kBytes, rows);
        if constexpr (kType == KvType::kInt4)
          fetch_scales(mine.value_scales + i * scales_bytes(kPage), page + form.value_scales,
                       scales_bytes(kPage), scales_there(rows));
      }
      if constexpr (kType == KvType::kInt8) {
        const int first = round + kEach * warp, rows = min(limit() - first, kEach);
        if (rows > 0)
          fetch_scales(mine.value_scales,
                       page_of(first) + form.value_scales + scales_bytes(first % kPage),
                       scales_bytes(kEach), scales_there(rows));
      }
    }
    copies_end();
  }
  // The row's own key, and value, where it belongs.
  __device__ void put_scales(std::byte* to, int position, const std::byte* from) {
    if (lane * 2 < scales_bytes(1))
      reinterpret_cast<uint16_t*>(to + scales_bytes(position))[lane] =
          reinterpret_cast<const uint16_t*>(from)[lane];
  }
  __device__ void put_key(int round) {
    const int at = w.position - round;
    if (!kRotates || at >= kRound || at / kEach != warp) return;
    put_row<Memory::kKeyRow>(mine.keys, at % kEach, block.fresh[0]);
    put_scales(mine.key_scales, at % kEach, block.fresh_scales[0]);
    __syncwarp();
  }
  __device__ void put_value(int round) {
    const int at = w.position - round;
    if (at >= kRound - 1 && !(kRotates && at == kRound - 1)) return;
    if (kRotates) {
      put_row<Memory::kValueRow>(mine.values, at, block.fresh[1] + warp * Memory::kValueRow);
      if (kType == KvType::kInt4) put_scales(mine.value_scales, at, block.fresh_scales[1]);
      if (kType == KvType::kInt8 && at / kEach == warp)
        put_scales(mine.value_scales, at % kEach, block.fresh_scales[1]);
    }
    // Scales of what is not there could be no numbers.
    if constexpr (kType == KvType::kInt4) {
      for (int i = (at + 1) * form.groups + lane; i < kRound * form.groups; i += 32)
        reinterpret_cast<__half*>(mine.value_scales)[i] = __half(0.0f);
    }
    __syncwarp();
  }

  // 16 columns of what stands in rows, from `column` on, as left operand; rows 8 and on are zeros with up to 8 heads.
  template <int kPitchOfRow>
  __device__ void load_left(uint32_t (&left)[4], const __half (&rows)[kHeads][kPitchOfRow],
                            int column) const {
    if constexpr (kHalves == 2) {
      load_matrices(left, &rows[lane % 16][column + lane / 16 * 8]);
    } else {
      uint32_t two[2];
      load_matrices(two, &rows[lane % 8][column + lane / 8 % 2 * 8]);
      left[0] = two[0], left[1] = 0, left[2] = two[1], left[3] = 0;
    }
  }

  // The warp's scores of a round become weights in the block's memory.
  __device__ void weigh(int round, int turn) {
    float score[4][4] = {};
    constexpr int kSteps = Keys<kType, kD>::kSteps;
    const Keys<kType, kD> keys{mine, form.groups};
#pragma unroll
    for (int s = 0; s < kD / 16; s += kSteps) {
      uint32_t left[kSteps][4];
#pragma unroll
      for (int i = 0; i < kSteps; ++i) load_left(left[i], block.queries, 16 * (s + i));
      keys.operands(s, [&](int j, int step, uint32_t b0, uint32_t b1) {
        multiply(score[j], left[step - s], b0, b1);
      });
    }
    const int first = round + kEach * warp, column = lane % 4 * 2;
    float value_scale[8], scale_of_all = 0;  // int8: a weight takes its value's scale along
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int key = j / 2 * 8 + column + j % 2;
      const bool there = first + key < w.count();
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        float& s = score[j / 2][2 * half + j % 2];
        s = there ? s * keys.scale(key) : -INFINITY;
      }
      if constexpr (kType == KvType::kInt8) {
        value_scale[j] = there ? reinterpret_cast<const float*>(mine.value_scales)[key] : 0.0f;
        scale_of_all = fmaxf(scale_of_all, value_scale[j]);
      }
    }
    float inverse = 1;
    if constexpr (kType == KvType::kInt8) {
      scale_of_all = fmaxf(scale_of_all, __shfl_xor_sync(~0u, scale_of_all, 1));
      scale_of_all = fmaxf(scale_of_all, __shfl_xor_sync(~0u, scale_of_all, 2));
      inverse = scale_of_all > 0 ? 1.0f / scale_of_all : 0.0f;
    }
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      float high = -INFINITY;
#pragma unroll
      for (int j = 0; j < 8; ++j) high = fmaxf(high, score[j / 2][2 * half + j % 2]);
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float zero = high == -INFINITY ? 0.0f : high;  // no position of the warp's is there
      float sum = 0, weight[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        weight[j] = power_of_2(score[j / 2][2 * half + j % 2] - zero);
        sum += weight[j];
        if constexpr (kType == KvType::kInt8) weight[j] *= value_scale[j] * inverse;
      }
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const int head = lane / 4 + 8 * half;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        *reinterpret_cast<uint32_t*>(
            &block.weights[turn][head][kEach * warp + 8 * j + column]) =
            pack(weight[2 * j], weight[2 * j + 1]);
      if (lane % 4 == 0) {
        block.most[turn][warp][head] = high;
        block.sum[turn][warp][head] = sum;
        if constexpr (kType == KvType::kInt8) block.scale[turn][warp][head] = scale_of_all;
      }
    }
  }

  // The weighted values of a round, all positions, this warp's dims.
  __device__ void sum_values(int turn, Sums<kTiles>& found) {
    float factor[kWarps][2];
    found.clear();
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const int head = lane / 4 + 8 * half;
      float high = block.most[turn][0][head];
#pragma unroll
      for (int i = 1; i < kWarps; ++i) high = fmaxf(high, block.most[turn][i][head]);
      found.most[half] = high;  // finite: the round's first position is there
#pragma unroll
      for (int i = 0; i < kWarps; ++i) {
        factor[i][half] = power_of_2(block.most[turn][i][head] - high);
        found.sum[half] += block.sum[turn][i][head] * factor[i][half];
        if constexpr (kType == KvType::kInt8) factor[i][half] *= block.scale[turn][i][head];
      }
    }
    const int group = warp * kD / kWarps / 32;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) {
      float part[kTiles][4] = {};
#pragma unroll
      for (int s = kEach / 16 * i; s < kEach / 16 * (i + 1); ++s) {
        uint32_t p[4], v[kTiles][2];
        load_left(p, block.weights[turn], 16 * s);
        load_values<kType, kD>(mine, s, form.groups, group, v);
#pragma unroll
        for (int t = 0; t < kTiles; ++t) multiply(part[t], p, v[t][0], v[t][1]);
      }
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
#pragma unroll
        for (int j = 0; j < 2 * kHalves; ++j) found.out[t][j] += part[t][j] * factor[i][j / 2];
      }
    }
  }

  // body(head of the block, dim, value) for all that this lane has.
  template <class Body>
  __device__ void each_sum(const Sums<kTiles>& sums, Body body) const {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 2 * kHalves; ++i) {
        const int head = lane / 4 + i / 2 * 8;
        const int d = warp * kD / kWarps + value_dim<kType>(t, lane % 4 * 2 + i % 2);
        if (head < w.heads && d < static_cast<int>(a.shape.D)) body(head, d, sums.out[t][i], i / 2);
      }
    }
  }
};

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

// What the chunks of the block's heads found (parts [heads][room]) put together; `memory` [2][16][kMostChunks] floats.
template <int kD>
__device__ void merge_chunks(const SingleRows& a, const Work& w, const float* parts, float* to,
                             float* memory) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int D = static_cast<int>(a.shape.D), size = part_size(D);
  const int64_t of_head = static_cast<int64_t>(a.chunks) * size;
  float* keeps = memory;                     // [heads][kMostChunks]
  float* factors = memory + 16 * kMostChunks;  // the same
  for (int h = warp; h < w.heads; h += kWarps) {
    const float* part = parts + h * of_head;
    float before = -INFINITY;  // the largest so far
#pragma unroll
    for (int i = 0; i < kMostChunks / 32; ++i) {
      const int c = lane + 32 * i;
      const float most = c < w.chunks ? __ldcg(part + c * size) : -INFINITY;
      float high = fmaxf(most, before);
      for (int apart = 1; apart < 32; apart *= 2) {
        const float other = __shfl_up_sync(~0u, high, apart);
        if (lane >= apart) high = fmaxf(high, other);
      }
      float last = __shfl_up_sync(~0u, high, 1);
      if (lane == 0) last = before;
      keeps[h * kMostChunks + c] = power_of_2(last - high);
      factors[h * kMostChunks + c] = power_of_2(most - high);
      before = __shfl_sync(~0u, high, 31);
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < w.heads * kD; i += kThreads) {
    const int h = i / kD, d = i % kD;
    if (d >= D) continue;
    const float* part = parts + h * of_head;
    float out = 0, sum = 0;
#pragma unroll 8
    for (int c = 0; c < w.chunks; ++c) {
      const float keep = keeps[h * kMostChunks + c], factor = factors[h * kMostChunks + c];
      sum = together(sum, keep, __ldcg(part + c * size + 1), factor);
      out = together(out, keep, __ldcg(part + c * size + 4 + d), factor);
    }
    to[h * D + d] = out / sum;
  }
}

// kHalves: 1 up to 8 heads.
template <KvType kType, int kD, int kHalves, bool kRotates>
__global__ void __launch_bounds__(kThreads, kType == KvType::kF16 ? 3 : 4)
    single_kernel(SingleRows a) {
  extern __shared__ __align__(16) std::byte shared[];
  constexpr int kHeads = 8 * kHalves;
  auto& block = *reinterpret_cast<BlockMemory<kType, kD, kHeads>*>(shared);
  let_next_start();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const PageForm form = page_form(kType, static_cast<int>(a.shape.D));
  const Work w = work_of(a, kHeads);
  if (w.first_chunk >= w.chunks) return wait_for_previous();
  Warp<kType, kD, kHalves, kRotates> work{a, w, form, block, block.warps[warp], warp, lane};
  if (!kRotates) wait_for_previous();
  work.fetch_keys(w.begin());
  work.fetch_values(w.begin());
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
      copies_wait<kType == KvType::kInt8 ? 0 : 1>();  // int8: its values' scales too
      __syncwarp();
      work.put_key(round);
      if (kType == KvType::kInt8) work.put_value(round);
      work.weigh(round, turn);
      __syncthreads();
      work.fetch_keys(round + kRound);
      if (kType != KvType::kInt8) {
        copies_wait<1>();
        __syncwarp();
        work.put_value(round);
      }
      work.sum_values(turn, found);
      __syncwarp();
      work.fetch_values(round + kRound);
      of_chunk.template add<kHalves>(found);
    }
    if (w.whole()) {
      all.template add<kHalves>(of_chunk);
      continue;
    }
    float* part = parts + chunk * size;
    work.each_sum(of_chunk, [&](int head, int d, float v, int) { part[head * of_head + 4 + d] = v; });
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const int head = lane / 4 + 8 * half;
      if (warp > 0 || lane % 4 > 0 || head >= w.heads) continue;
      part[head * of_head] = of_chunk.most[half];
      part[head * of_head + 1] = of_chunk.sum[half];
    }
  }
  if (w.whole()) {
    work.each_sum(all, [&](int head, int d, float v, int half) { to[head * D + d] = v / all.sum[half]; });
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
  merge_chunks<kD>(a, w, parts, to, reinterpret_cast<float*>(block.warps));
}

template <KvType kType, int kD, int kHalves, bool kRotates>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  constexpr int kBytes = sizeof(BlockMemory<kType, kD, 8 * kHalves>);
  static_assert(2 * 16 * kMostChunks * 4 <= sizeof(WarpMemory<kType, kD>) * kWarps);
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

}  // namespace trit::cuda
