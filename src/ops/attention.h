#pragma once
// Causal attention with rotary positions and grouped key/value heads, over a cache of keys and values.
//
// Letters: N rows (tokens) of the batch, H query heads, G key/value heads (H a multiple of G; query
// head h reads key/value head h / (H / G)), D the size of a head.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kv.h"
#include "ops/matrix.h"

namespace trit {

using kernels::KvType;

// The pages that hold a sequence's positions: position p lies in page [p / 64] of the cache, at place p % 64.
using PageTable = std::span<const int32_t>;

// Which sequence (an index of the list of page tables) a row belongs to, and its position there (0 first).
struct TokenSlot {
  int32_t sequence = 0;
  int32_t position = 0;
};

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t query_columns() const { return heads * head_dim; }
  int64_t kv_columns() const { return kv_heads * head_dim; }
};

// The cached keys and values of one layer, a view: page i at pages + i * page_bytes, in it key/value head g
// at + g * head_bytes (kernels/kv.h).
struct KvLayer {
  KvType type = KvType::kF32;
  std::byte* pages = nullptr;
  int64_t page_bytes = 0, head_bytes = 0;
};
// Bytes of a page of one layer, and of each head's part of it.
int64_t kv_head_bytes(KvType type, const AttentionShape& shape);
int64_t kv_page_bytes(KvType type, const AttentionShape& shape);

// cos and sin of position * theta^(-2 i / D), i < D / 2 (RoFormer, arXiv 2104.09864), for the halves-rotated
// form of LLaMA checkpoints: [positions][D / 2] each, in float32 arithmetic as transformers computes them.
class RotaryTable {
 public:
  RotaryTable() = default;
  RotaryTable(int64_t head_dim, float theta, int64_t positions);
  const float* cosine(int64_t position) const { return cosine_.data() + position * half_; }
  const float* sine(int64_t position) const { return sine_.data() + position * half_; }
  int64_t positions() const {
    return half_ == 0 ? 0 : static_cast<int64_t>(cosine_.size()) / half_;
  }

 private:
  int64_t half_ = 0;
  Buffer<float> cosine_, sine_;
};

// Rotates every head of x [N, heads * D] in place to its row's position; direction -1 is the backward pass.
void rotary(const RotaryTable& table, std::span<const TokenSlot> slots, int64_t head_dim, Matrix x,
            float direction);

// Writes rows k, v [N, G D] (k already rotated) into the cache at their slots.
void cache_keys_values(const AttentionShape& shape, ConstMatrix k, ConstMatrix v,
                       std::span<const TokenSlot> slots, std::span<const PageTable> tables,
                       const KvLayer& cache);

// out [N, H D]: row n attends to positions 0..slots[n].position of its sequence, all of them in the
// cache. log_sums [N, H] (or null) gets each softmax's log of sums, which the backward pass needs.
// A row's result depends on nothing but its query and those positions: not on the other rows, the pages that
// hold them or the number of threads.
void attention_forward(const AttentionShape& shape, ConstMatrix q, std::span<const TokenSlot> slots,
                       std::span<const PageTable> tables, const KvLayer& cache, Matrix out,
                       float* log_sums);

// Both: rows are stored, then attended to. Where each row is of a sequence of its own, a head's row is stored right
// before it is read, while the next one's memory comes.
void cache_and_attend(const AttentionShape& shape, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                      std::span<const TokenSlot> slots, std::span<const PageTable> tables,
                      const KvLayer& cache, Matrix out, float* log_sums);

// For a batch of `sequences` whole sequences of T rows each (row b T + t at position t): overwrites
// dq [N, H D], dk and dv [N, G D], given out and log_sums of the forward pass.
void attention_backward(const AttentionShape& shape, int64_t sequences, ConstMatrix q,
                        ConstMatrix k, ConstMatrix v, ConstMatrix out, const float* log_sums,
                        ConstMatrix dout, Matrix dq, Matrix dk, Matrix dv);

}  // namespace trit
