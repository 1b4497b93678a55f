#pragma once
// What both ways of attention over tiles of rows share (attention_prompt.cu, attention_prompt_sm90.cu). For .cu files.

#include "kernels/cuda/attention.h"

namespace trit::cuda {

struct PromptArguments {
  HeadShape shape;
  const float* q;
  int64_t q_stride;
  RowSlots slots;
  KvLayer cache;
  float* out;
  int64_t out_stride;
  float scale;  // of scores, for exponentials of base 2

  __host__ __device__ int64_t items() const { return slots.tile_count * shape.H; }
};

// A tile and a query head. Row r is at position + r.
struct PromptItem {
  int first, rows, head, g, position;
  const int32_t* table;
  __device__ int count() const { return position + rows; }  // of positions seen
};
// Late tiles have most to do: they are the first items.
__device__ inline PromptItem prompt_item(const PromptArguments& a, int i) {
  const int H = static_cast<int>(a.shape.H), head = i % H;
  const int tile = static_cast<int>(a.slots.tile_count) - 1 - i / H;
  const int first = a.slots.tiles[2 * tile];
  return {first,
          a.slots.tiles[2 * tile + 1],
          head,
          head / (H / static_cast<int>(a.shape.G)),
          a.slots.positions[first],
          a.slots.tables + a.slots.sequences[first] * a.slots.table_stride};
}

// A row's end: sums over the sum of its weights, of which each of four lanes has a part. A lane has dims 8 n + 2 (lane % 4)
// and the next, sum_of(2 n) and sum_of(2 n + 1). Called by whole warps.
template <int kD, class SumOf>
__device__ void finish_row(const PromptArguments& a, const PromptItem& item, int row, float weights,
                           SumOf sum_of) {
  weights += __shfl_xor_sync(~0u, weights, 1);
  weights += __shfl_xor_sync(~0u, weights, 2);
  if (row >= item.rows) return;
  const int D = static_cast<int>(a.shape.D);
  const float one = 1.0f / weights;
  float* to = a.out + (item.first + row) * a.out_stride + item.head * D;
#pragma unroll
  for (int n = 0; n < kD / 8; ++n) {
    const int d = 8 * n + static_cast<int>(threadIdx.x) % 4 * 2;
    if (d < D)
      *reinterpret_cast<float2*>(to + d) = float2{sum_of(2 * n) * one, sum_of(2 * n + 1) * one};
  }
}

void attention_of_tiles_sm90(StreamHandle stream, const PromptArguments& arguments);  // Hopper's

}  // namespace trit::cuda
