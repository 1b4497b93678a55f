// Which rows of attention() go which way.

#include <algorithm>
#include <cmath>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int64_t kMostDims = 256;
constexpr int64_t kFewChunks = 16;
constexpr int64_t kBlocksEach = 3;  // of single rows, that a multiprocessor runs together

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

namespace {

// Single rows, as many at a time as the scratch has room for and the counters are.
void attend_singles(StreamHandle stream, SingleRows rows, int64_t count, bool rotates,
                    const Scratch& scratch) {
  const HeadShape& shape = rows.shape;
  const bool tensor_cores = tiles_serve(shape, rows.cache);
  const int64_t parts = parts_of(shape, tensor_cores), chunks = most_chunks(rows.slots.longest);
  const int64_t room = kBlocksEach * device_limits().multiprocessors;
  const auto chunks_each = [&](int64_t of) {
    return tensor_cores
               ? std::min((of * shape.G * parts * chunks + room - 1) / room, int64_t{kMostChunks})
               : int64_t{1};
  };
  const int64_t bytes = row_bytes(shape, rows.slots.longest);
  int64_t most = std::min({kCounters / (shape.G * parts), scratch.bytes / bytes, int64_t{65535}});
  // Where a block does whole rows it leaves no parts.
  if (count <= 65535 && chunks_each(count) >= chunks) most = count;
  if (most < 1) scratch_too_small("attention", scratch.bytes, bytes);
  rows.partials = reinterpret_cast<float*>(scratch.memory);
  rows.counters = scratch.counters;
  rows.chunks = static_cast<int>(chunks);
  rows.scale = 1.0f / std::sqrt(static_cast<float>(shape.D));
  for (int64_t first = 0; first < count; first += most) {
    const int64_t now = std::min(most, count - first);
    rows.first = static_cast<int>(first);
    rows.each = static_cast<int>(chunks_each(now));
    const dim3 grid(static_cast<unsigned>((chunks + rows.each - 1) / rows.each),
                    static_cast<unsigned>(shape.G * parts), static_cast<unsigned>(now));
    if (!tensor_cores) {
      attention_of_any(stream, rows, grid);
      continue;
    }
    // The last block of a head would take longer for many chunks than a kernel does.
    rows.merges_apart = chunks > kFewChunks && rows.each < chunks;
    attention_of_singles(stream, rows, grid, rotates);
    if (rows.merges_apart) merge_singles(stream, rows, now);
  }
}

}  // namespace

void attention(StreamHandle stream, const HeadShape& shape, const float* q, int64_t q_stride,
               int64_t T, const RowSlots& slots, const KvLayer& cache, float* out,
               int64_t out_stride, const Scratch& scratch) {
  if (shape.D > kMostDims) columns_refused("a head of attention", shape.D, kMostDims);
  const bool tiles = tiles_serve(shape, cache) && slots.tile_count > 0;
  if (tiles) attention_of_tiles(stream, shape, q, q_stride, slots, cache, out, out_stride);
  SingleRows rows{shape, q, q_stride, slots, 0, static_cast<int>(T), cache, out, out_stride};
  if (!tiles) rows.slots.singles = nullptr;
  attend_singles(stream, rows, tiles ? slots.single_count : T, false, scratch);
}

void rotate_and_attend(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                       int64_t T, const Rotation& rotation, const RowSlots& slots,
                       const KvLayer& cache, float* out, int64_t out_stride,
                       const Scratch& scratch) {
  // With many blocks for each multiprocessor none waits for the turn of queries but those that do it: integers, which are
  // not bound by memory, are quicker without it.
  const bool many =
      cache.type != kernels::KvType::kF16 &&
      T * shape.G * parts_of(shape, true) > 2 * kBlocksEach * device_limits().multiprocessors;
  if (!slots.apart || slots.tile_count > 0 || many || !tiles_serve(shape, cache)) {
    rotate_and_store(stream, shape, qkv, stride, T, rotation, slots, cache);
    attention(stream, shape, qkv + rotation.columns.q, stride, T, slots, cache, out, out_stride,
              scratch);
    return;
  }
  SingleRows rows{shape, qkv, stride, slots, 0, static_cast<int>(T), cache, out, out_stride};
  rows.slots.singles = nullptr;
  rows.rotation = rotation;
  attend_singles(stream, rows, T, true, scratch);
}

}  // namespace trit::cuda
