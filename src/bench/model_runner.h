#pragma once
// The one place where benchmarks touch how models are run: some sequences that advance side by side.

#include <cstdint>
#include <vector>

#include "model/transformer.h"

namespace trit::bench {

class ModelRunner {
 public:
  // Room for `sequences` sequences of `positions` tokens, at most the model's context. The weights must outlive it.
  ModelRunner(const Weights& weights, int64_t sequences, int64_t positions);

  // Runs `count` more tokens of every sequence, one sequence after the other, many rows at once, and computes
  // the logits after the last token of each.
  void prefill(int64_t count);
  // Runs one more token of every sequence, all at once, with logits for each.
  void decode();
  // Forgets all positions from `position` on.
  void rewind(int64_t position) { position_ = position; }
  int64_t position() const { return position_; }

  // Rows of one forward pass of a prompt.
  static constexpr int64_t kPromptRows = 256;
  // Of cached keys and values, and of all that so many sequences of so many positions take.
  static int64_t cache_bytes_per_position(const Config& config);
  static int64_t memory_bytes(const Config& config, int64_t sequences, int64_t positions);

 private:
  void run(int64_t rows);
  int32_t next_token();
  const Weights& weights_;
  int64_t sequences_, position_ = 0;
  uint64_t token_state_ = 1;
  State state_;
  std::vector<int32_t> tokens_;
  std::vector<TokenSlot> slots_;
  std::vector<float> logits_;
};

}  // namespace trit::bench
