#pragma once
// The ways of attention(), by how many rows of a sequence stand together. For .cu files.

#include <cuda_runtime.h>

#include "kernels/cuda/rotate.h"

namespace trit::cuda {

// ---- Rows of a prompt, in tiles (attention_prompt.cu) ----

// The heads and types that tensor cores take.
inline bool tiles_serve(const HeadShape& shape, const KvLayer& cache) {
  return shape.D <= 128 && cache.type != KvType::kF32;
}
void attention_of_tiles(StreamHandle stream, const HeadShape& shape, const float* q,
                        int64_t q_stride, const RowSlots& slots, const KvLayer& cache, float* out,
                        int64_t out_stride);

// ---- Single rows, their positions in chunks ----

// A row that sees `count` positions has a chunk for each 128 of them, or for as many times 128 as make at most 64.
// A row's chunks are put together one after the other, by one block or many: the bits are the same.
inline constexpr int kChunkUnit = 128, kMostChunks = 64;
__host__ __device__ inline int chunk_of(int count) {
  return kChunkUnit * ((count + kChunkUnit * kMostChunks - 1) / (kChunkUnit * kMostChunks));
}
// What a chunk finds for a query head, in floats: its largest score, the sum of the exponentials, two that nobody uses,
// and the values weighted so.
__host__ __device__ inline int part_size(int D) { return 4 + (D + 3) / 4 * 4; }

// Block (x, g * parts + p, z) takes chunks x * each.. of row z of the call, and part p of the query heads of key/value
// head g.
struct SingleRows {
  HeadShape shape;
  const float* q;  // with a rotation: all of qkv
  int64_t q_stride;
  RowSlots slots;
  int first, rows;  // row 0 of this launch among the single ones; all rows of attention()
  KvLayer cache;
  float* out;
  int64_t out_stride;
  float* partials;     // [rows][H][chunks][part_size]
  uint32_t* counters;  // [rows][gridDim.y]
  int chunks;          // that the partials have room for
  int each;            // chunks of a block
  float scale;
  Rotation rotation;          // of rotate_and_attend
  bool merges_apart = false;  // merge_singles follows; otherwise the last block of a head merges

  __device__ int64_t row(int64_t z) const {
    return slots.singles != nullptr ? slots.singles[first + z] : first + z;
  }
};
// Where tiles_serve(). `rotates`: queries are still to be turned, and the row's key and value to be stored.
void attention_of_singles(StreamHandle stream, const SingleRows& rows, dim3 grid, bool rotates);
void merge_singles(StreamHandle stream, const SingleRows& rows, int64_t count);
void attention_of_any(StreamHandle stream, const SingleRows& rows, dim3 grid);  // each is 1

}  // namespace trit::cuda
