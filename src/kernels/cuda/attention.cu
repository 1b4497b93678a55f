// Which rows of attention() go which way.

#include <algorithm>
#include <cmath>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/check.h"

namespace trit::cuda {
namespace {

constexpr int64_t kMostDims = 256;

// Blocks that share the query heads of a key/value head: 8 or 16 each (one block of attention_any.cu up to 4).
int64_t parts_of(const HeadShape& shape, bool tensor_cores) {
  const int64_t group = shape.H / shape.G, each = tensor_cores && group > 8 ? 16 : 8;
  return (group + each - 1) / each;
}
int64_t most_chunks(int64_t positions) {
  return std::min<int64_t>(kMostChunks, (positions + kChunkUnit - 1) / kChunkUnit);
}
int64_t row_bytes(const HeadShape& shape, int64_t longest) {
  return shape.H * most_chunks(longest) * part_size(static_cast<int>(shape.D)) *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace

int64_t attention_scratch_bytes(const HeadShape& shape, int64_t T, int64_t longest) {
  return std::min(T, kCounters / (shape.G * parts_of(shape, true))) * row_bytes(shape, longest);
}

void attention(StreamHandle stream, const HeadShape& shape, const float* q, int64_t q_stride,
               int64_t T, const RowSlots& slots, const KvLayer& cache, float* out,
               int64_t out_stride, const Scratch& scratch) {
  if (shape.D > kMostDims) columns_refused("a head of attention", shape.D, kMostDims);
  const bool tensor_cores = tiles_serve(shape, cache), tiles = tensor_cores && slots.tile_count > 0;
  if (tiles) attention_of_tiles(stream, shape, q, q_stride, slots, cache, out, out_stride);
  const int64_t singles = tiles ? slots.single_count : T;
  const int64_t parts = parts_of(shape, tensor_cores), chunks = most_chunks(slots.longest);
  // As many rows at a time as the scratch has room for and the counters are.
  const int64_t bytes = row_bytes(shape, slots.longest);
  const int64_t most =
      std::min({kCounters / (shape.G * parts), scratch.bytes / bytes, int64_t{65535}});
  if (most < 1) scratch_too_small("attention", scratch.bytes, bytes);
  SingleRows rows{shape,
                  q,
                  q_stride,
                  slots,
                  0,
                  static_cast<int>(T),
                  cache,
                  out,
                  out_stride,
                  reinterpret_cast<float*>(scratch.memory),
                  scratch.counters,
                  static_cast<int>(chunks),
                  1.0f / std::sqrt(static_cast<float>(shape.D))};
  if (!tiles) rows.slots.singles = nullptr;
  for (int64_t first = 0; first < singles; first += most) {
    rows.first = static_cast<int>(first);
    const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(shape.G * parts),
                    static_cast<unsigned>(std::min(most, singles - first)));
    tensor_cores ? attention_of_singles(stream, rows, grid) : attention_of_any(stream, rows, grid);
  }
}

}  // namespace trit::cuda
