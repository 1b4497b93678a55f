// Attention of single rows over their cached positions, in float32: for keys and values in float32, and heads of more than
// 128 dims. A block takes a chunk of a row's positions and up to 8 query heads of one key/value head; groups of lanes take positions in turn, 8 dims a lane, each with a running maximum. What
// the blocks of a row find is put together, in order, by the last of them to come to its end.

#include "kernels/cuda/attention.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
// What has been seen of some positions: the largest score, the sum of exp(score - largest), and the values weighted so.
struct Seen {
  float most = -INFINITY, sum = 0;
};

// kLanes lanes take a position; kHeads query heads at a time.
template <KvType kType, int kLanes, int kHeads>
__global__ void __launch_bounds__(kThreads) attention_kernel(SingleRows a) {
  constexpr int kStreams = kThreads / kLanes, kTogether = 4;
  __shared__ float shared_v[kStreams][kLanes * 8];
  __shared__ Seen shared_seen[kStreams];
  __shared__ bool last;
  wait_for_previous();
  const int H = static_cast<int>(a.shape.H), G = static_cast<int>(a.shape.G);
  const int D = static_cast<int>(a.shape.D), group = H / G;
  const int64_t z = blockIdx.z, t = a.row(z);
  const int parts = (group + kHeads - 1) / kHeads;
  const int g = static_cast<int>(blockIdx.y) / parts, part = static_cast<int>(blockIdx.y) % parts;
  const int first_head = g * group + part * kHeads;
  const int heads = min(kHeads, group - part * kHeads);
  const int count = a.slots.positions[t] + 1;
  const int chunk = chunk_of(count), chunks = (count + chunk - 1) / chunk;
  const int begin = static_cast<int>(blockIdx.x) * chunk, end = min(begin + chunk, count);
  if (begin >= count) return;
  const int stream = static_cast<int>(threadIdx.x) / kLanes,
            at = static_cast<int>(threadIdx.x) % kLanes;
  const PageForm form = page_form(kType, D);
  const bool there = 8 * at < D;

  float q[kHeads][8], acc[kHeads][8] = {};
  Seen seen[kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int d = 8 * at + j;
      q[h][j] =
          h < heads && d < D ? a.q[t * a.q_stride + (first_head + h) * D + d] * a.scale : 0.0f;
    }
  }
  const int32_t* table = a.slots.tables + a.slots.sequences[t] * a.slots.table_stride;
  // All lanes of a warp go round as often: they exchange what they have.
  for (int round = begin; round < end; round += kStreams * kTogether) {
    const int first = round + stream;
    float k[kTogether][8], v[kTogether][8];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      const int p = first + i * kStreams;
#pragma unroll
      for (int j = 0; j < 8; ++j) k[i][j] = v[i][j] = 0;
      if (p >= end || !there) continue;
      const std::byte* page =
          a.cache.pages + table[p / kPagePositions] * a.cache.page_bytes + g * a.cache.head_bytes;
      const int place = p % static_cast<int>(kPagePositions);
      const int scales = place * form.groups * form.scale_bytes;
      load_eight<kType>(page + place * form.row_bytes, page + form.key_scales + scales, at, k[i]);
      load_eight<kType>(page + form.values + place * form.row_bytes,
                        page + form.value_scales + scales, at, v[i]);
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      if (h >= heads) break;
      float score[kTogether];
      float most = seen[h].most;
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        float s = 0;
#pragma unroll
        for (int j = 0; j < 8; ++j) s += q[h][j] * k[i][j];
#pragma unroll
        for (int apart = kLanes / 2; apart > 0; apart /= 2) s += __shfl_xor_sync(~0u, s, apart);
        score[i] = first + i * kStreams < end ? s : -INFINITY;
        most = fmaxf(most, score[i]);
      }
      const float zero = most == -INFINITY ? 0.0f : most;  // no position yet
      const float keep = __expf(seen[h].most - zero);
      seen[h].sum *= keep;
#pragma unroll
      for (int j = 0; j < 8; ++j) acc[h][j] *= keep;
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const float weight = __expf(score[i] - zero);
        seen[h].sum += weight;
#pragma unroll
        for (int j = 0; j < 8; ++j) acc[h][j] += weight * v[i][j];
      }
      seen[h].most = most;
    }
  }

  // The block's streams together, a head at a time; then this chunk's part, or the result when there is no other chunk.
  const int size = part_size(D);
  float* partials = a.partials + (z * H + first_head) * static_cast<int64_t>(a.chunks) * size;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (h >= heads) break;
    __syncthreads();
    if (at == 0) shared_seen[stream] = seen[h];
#pragma unroll
    for (int j = 0; j < 8; ++j) shared_v[stream][8 * at + j] = acc[h][j];
    __syncthreads();
    float most = -INFINITY, sum = 0;
    for (int s = 0; s < kStreams; ++s) most = fmaxf(most, shared_seen[s].most);
    for (int s = 0; s < kStreams; ++s)
      sum += shared_seen[s].sum * __expf(shared_seen[s].most - most);
    float* part_of_chunk = partials + (h * static_cast<int64_t>(a.chunks) + blockIdx.x) * size;
    for (int d = static_cast<int>(threadIdx.x); d < D; d += kThreads) {
      float v = 0;
      for (int s = 0; s < kStreams; ++s) v += shared_v[s][d] * __expf(shared_seen[s].most - most);
      if (chunks == 1)
        a.out[t * a.out_stride + (first_head + h) * D + d] = v / sum;
      else
        part_of_chunk[4 + d] = v;
    }
    if (threadIdx.x == 0 && chunks > 1) part_of_chunk[0] = most, part_of_chunk[1] = sum;
  }
  if (chunks == 1) return;

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    // Wraps to zero with the last of them, for the next time.
    uint32_t* counter = a.counters + z * gridDim.y + blockIdx.y;
    last =
        atomicInc(counter, static_cast<unsigned>(chunks - 1)) == static_cast<unsigned>(chunks - 1);
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  for (int h = 0; h < heads; ++h) {
    const float* of_head = partials + h * static_cast<int64_t>(a.chunks) * size;
    float most = -INFINITY, sum = 0;
    for (int c = 0; c < chunks; ++c) most = fmaxf(most, __ldcg(of_head + c * size));
    for (int c = 0; c < chunks; ++c)
      sum += __ldcg(of_head + c * size + 1) * __expf(__ldcg(of_head + c * size) - most);
    for (int d = static_cast<int>(threadIdx.x); d < D; d += kThreads) {
      float v = 0;
      for (int c = 0; c < chunks; ++c)
        v += __ldcg(of_head + c * size + 4 + d) * __expf(__ldcg(of_head + c * size) - most);
      a.out[t * a.out_stride + (first_head + h) * D + d] = v / sum;
    }
  }
}

using Kernel = void (*)(SingleRows);

template <KvType kType, int kLanes>
Kernel kernel_of(int64_t group) {
  if (group == 1) return attention_kernel<kType, kLanes, 1>;
  if (group == 2) return attention_kernel<kType, kLanes, 2>;
  if (group <= 4) return attention_kernel<kType, kLanes, 4>;
  return attention_kernel<kType, kLanes, 8>;
}
template <KvType kType>
Kernel kernel_of(int64_t group, int64_t D) {
  if (D <= 64) return kernel_of<kType, 8>(group);
  if (D <= 128) return kernel_of<kType, 16>(group);
  return kernel_of<kType, 32>(group);
}

}  // namespace

void attention_of_any(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  const int64_t group = rows.shape.H / rows.shape.G, D = rows.shape.D;
  const KvType type = rows.cache.type;
  launch_chained(stream, grid, dim3(kThreads), 0,
                 type == KvType::kF32    ? kernel_of<KvType::kF32>(group, D)
                 : type == KvType::kF16  ? kernel_of<KvType::kF16>(group, D)
                 : type == KvType::kInt8 ? kernel_of<KvType::kInt8>(group, D)
                                         : kernel_of<KvType::kInt4>(group, D),
                 rows);
}

}  // namespace trit::cuda
