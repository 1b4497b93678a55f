#pragma once
// The one place where benchmarks touch how models are run: some sequences that advance side by side.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "infer/cpu_backend.h"

namespace trit::bench {

// Rows of one forward pass of a prompt, where nothing else is said.
inline constexpr int64_t kPromptRows = 512;
// The largest logits that are found behind a token: as many as `trit run` samples from unless told otherwise.
inline constexpr int64_t kCandidates = 40;

struct RunnerOptions {
  KvType kv_type = KvType::kF16;
  int64_t sequences = 1;
  int64_t positions = 0;  // of each, at most the model's context
  int64_t prompt_rows = kPromptRows;
  int64_t candidates = kCandidates;
};

class ModelRunner {
 public:
  using MakeBackend = std::function<std::unique_ptr<Backend>(const CpuBackendOptions&)>;
  // `make` gives the model's backend; what that needs must outlive it.
  ModelRunner(const Config& config, const MakeBackend& make, const RunnerOptions& options);

  // Runs `count` more tokens of every sequence, one sequence after the other, many rows at once, and finds the
  // largest logits after the last token of each.
  void prefill(int64_t count);
  // The same of the first sequence alone, whose keys and values the others get copies of.
  void prefill_alike(int64_t count);
  // Runs one more token of every sequence, all at once, with the largest logits for each.
  void decode();
  // Forgets all positions from `position` on.
  void rewind(int64_t position) { position_ = position; }
  int64_t position() const { return position_; }
  BackendMemory memory() const { return backend_->memory(); }

  // What so many sequences of so many positions take, a little generously.
  static int64_t memory_bytes(const Config& config, const RunnerOptions& options);

 private:
  int64_t sequences() const { return std::ssize(tables_); }
  void prefill(int64_t sequence, int64_t count);
  void run(int64_t rows);
  void find_largest();  // behind rows_ of the last pass
  int32_t next_token();
  int64_t vocabulary_, prompt_rows_, candidates_, position_ = 0;
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
