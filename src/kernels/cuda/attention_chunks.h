#pragma once
// For .cu files: how attention_single.cu shares a row's positions among blocks, and how what they find in chunks of them is put
// together.

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"

namespace trit::cuda::single {

inline constexpr int kWarps = kSingleWarps, kThreads = 32 * kWarps;
inline constexpr int kPage = static_cast<int>(kPagePositions);
inline constexpr int kPitch =
    kRound + 8;  // halves from row to row of weights: ldmatrix meets all banks
static_assert(kChunkUnit == kRound && kRound == 2 * kPage && kPage % kEach == 0);

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
inline __device__ Work work_of(const SingleRows& a, int most_heads) {
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

// What two chunks' sums count for when they are put together.
inline __device__ float together(float sum, float keep, float more, float factor) {
  return __fmaf_rn(sum, keep, __fmul_rn(more, factor));
}

// What a chunk counts for when the chunks of a head are put together in order.
struct ChunkWeight {
  float keep, factor, sum;  // of what was before; of its values; the sum of its exponentials
};
// By a warp: the weights [chunks] of a head whose parts are at `part`.
__device__ inline void weigh_chunks(const float* part, int size, int chunks, ChunkWeight* weights) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float most[kMostChunks / 32], sum[kMostChunks / 32], before = -INFINITY;  // the largest so far
#pragma unroll
  for (int i = 0; i < kMostChunks / 32; ++i) {
    const int c = lane + 32 * i;
    most[i] = c < chunks ? __ldcg(part + static_cast<int64_t>(c) * size) : -INFINITY;
    sum[i] = c < chunks ? __ldcg(part + static_cast<int64_t>(c) * size + 1) : 0.0f;
  }
#pragma unroll
  for (int i = 0; i < kMostChunks / 32; ++i) {
    float high = fmaxf(most[i], before);
    for (int apart = 1; apart < 32; apart *= 2)
      high = fmaxf(high, __shfl_up_sync(~0u, high, static_cast<unsigned>(apart)));
    float last = __shfl_up_sync(~0u, high, 1);
    if (lane == 0) last = before;
    weights[lane + 32 * i] = {power_of_2(last - high), power_of_2(most[i] - high), sum[i]};
    before = __shfl_sync(~0u, high, 31);
  }
}

// What the chunks of the block's heads found (parts [heads][room]) put together.
template <int kD>
__device__ void merge_chunks(const SingleRows& a, const Work& w, const float* parts, float* to,
                             ChunkWeight (*weights)[kMostChunks]) {
  constexpr int kColumns = kD / 4, kTogether = 16;  // chunks on their way at a time
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int D = static_cast<int>(a.shape.D), size = part_size(D);
  const int64_t of_head = static_cast<int64_t>(a.chunks) * size;
  float4 found[kTogether];
  const auto load = [&](int i, int first) {
    const int h = i / kColumns, d = i % kColumns * 4;
    const float* part = parts + h * of_head + 4 + d;
#pragma unroll
    for (int c = 0; c < kTogether; ++c)
      if (h < w.heads && d < D && first + c < w.chunks)
        found[c] = __ldcg(reinterpret_cast<const float4*>(part + (first + c) * size));
  };
  load(static_cast<int>(threadIdx.x), 0);
  for (int h = warp; h < w.heads; h += kWarps)
    weigh_chunks(parts + h * of_head, size, w.chunks, weights[h]);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < w.heads * kColumns; i += kThreads) {
    const int h = i / kColumns, d = i % kColumns * 4;
    float out[4] = {}, sum = 0;
    for (int first = 0; first < w.chunks; first += kTogether) {
#pragma unroll
      for (int c = 0; c < kTogether; ++c) {
        if (first + c >= w.chunks) break;
        const ChunkWeight& weight = weights[h][first + c];
        sum = together(sum, weight.keep, weight.sum, weight.factor);
        out[0] = together(out[0], weight.keep, found[c].x, weight.factor);
        out[1] = together(out[1], weight.keep, found[c].y, weight.factor);
        out[2] = together(out[2], weight.keep, found[c].z, weight.factor);
        out[3] = together(out[3], weight.keep, found[c].w, weight.factor);
      }
      const bool more = first + kTogether < w.chunks;
      load(more ? i : i + kThreads, more ? first + kTogether : 0);
    }
    const float one = 1.0f / sum;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (d + j < D) to[h * D + d + j] = out[j] * one;
  }
}

}  // namespace trit::cuda::single
