#pragma once
// The ways of attention(), by how many rows of a sequence stand together. For .cu files.

#include <cuda_runtime.h>

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/kv_page.h"

namespace trit::cuda {

// ---- Rows of a prompt, in tiles (attention_prompt.cu) ----

// The heads and types that tensor cores take.
inline bool tiles_serve(const HeadShape& shape, const KvLayer& cache) {
  return shape.D <= 128 && cache.type != KvType::kF32;
}
void attention_of_tiles(StreamHandle stream, const HeadShape& shape, const float* q,
                        int64_t q_stride, const RowSlots& slots, const KvLayer& cache, float* out,
                        int64_t out_stride);
void attention_of_tiles_sm90(StreamHandle stream, const HeadShape& shape, const float* q,
                             int64_t q_stride, const RowSlots& slots, const KvLayer& cache,
                             float* out, int64_t out_stride);  // Hopper's

// ---- Single rows, their positions in chunks ----

// A row that sees `count` positions has one chunk up to 512; else as many times 256 positions as make at most 64. Putting
// chunks together costs as much as some rounds of a block.
inline constexpr int kChunkUnit = 256, kMostChunks = 64, kOneChunk = 512;
__host__ __device__ inline int chunk_of(int count) {
  if (count <= kOneChunk) return kOneChunk;
  return kChunkUnit * ((count + kChunkUnit * kMostChunks - 1) / (kChunkUnit * kMostChunks));
}
// What a chunk finds for a query head, in floats: its largest score, the sum of the exponentials, two that nobody uses,
// and the values weighted so.
__host__ __device__ inline int part_size(int D) { return 4 + (D + 3) / 4 * 4; }

// Block (c, g * parts + p, z) takes chunk c of row z of the call, and part p of the query heads of key/value head g.
struct SingleRows {
  HeadShape shape;
  const float* q;
  int64_t q_stride;
  RowSlots slots;
  int first, rows;  // row 0 of this launch among the single ones; all rows of attention()
  KvLayer cache;
  float* out;
  int64_t out_stride;
  float* partials;     // [rows][H][chunks][part_size]
  uint32_t* counters;  // [rows][gridDim.y]
  int chunks;          // that the partials have room for
  float scale;

  __device__ int64_t row(int64_t z) const {
    return slots.singles != nullptr ? slots.singles[first + z] : first + z;
  }
};
void attention_of_singles(StreamHandle stream, const SingleRows& rows,
                          dim3 grid);  // where tiles_serve()
void attention_of_any(StreamHandle stream, const SingleRows& rows, dim3 grid);

}  // namespace trit::cuda
