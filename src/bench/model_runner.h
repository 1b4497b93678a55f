#pragma once
// The one place where benchmarks touch how models are run: some sequences that advance side by side.

#include <cstdint>
#include <vector>

#include "infer/place.h"

namespace trit::bench {

class ModelRunner {
 public:
  // Room for `sequences` sequences of `positions` tokens, at most the model's context. The weights and the place, where
  // they run, must outlive it.
  ModelRunner(const Weights& weights, Place& place, KvType kv_type, int64_t sequences,
              int64_t positions);

  // What is computed behind a token: the largest logits, as many as `trit run` samples from unless told otherwise.
  static constexpr int64_t kCandidates = 40;

  // Runs `count` more tokens of every sequence, one sequence after the other, many rows at once, and finds the
  // largest logits after the last token of each.
  void prefill(int64_t count);
  // Runs one more token of every sequence, all at once, with the largest logits for each.
  void decode();
  // Forgets all positions from `position` on.
  void rewind(int64_t position) { position_ = position; }
  int64_t position() const { return position_; }

  // Rows of one forward pass of a prompt.
  static constexpr int64_t kPromptRows = 512;
  // What so many sequences of so many positions take.
  static int64_t memory_bytes(const Config& config, KvType kv_type, int64_t sequences,
                              int64_t positions);

 private:
  void run(int64_t rows);
  void find_largest();  // behind rows_ of the last pass
  int32_t next_token();
  const Weights& weights_;
  int64_t sequences_, position_ = 0;
  uint64_t token_state_ = 1;
  std::unique_ptr<Backend> backend_;
  std::vector<int32_t> pages_;     // 0, 1, 2, ...
  std::vector<PageTable> tables_;  // runs of them
  std::vector<int32_t> tokens_;
  std::vector<TokenSlot> slots_;
  std::vector<int64_t> rows_;
  std::vector<TokenLogit> largest_;
};

}  // namespace trit::bench
