#pragma once
// The engine's backend on the CPU.

#include <string_view>

#include "base/huge_buffer.h"
#include "infer/backend.h"
#include "model/parallel.h"
#include "model/transformer.h"
#include "ops/head_screen.h"

namespace trit {

struct CpuBackendOptions {
  KvType kv_type = KvType::kF32;
  int64_t positions = 0;   // of the cache, all sequences together; 0: the model's context
  int64_t max_rows = 256;  // of one step
  // Among which the model is divided (the weights are this rank's part, model/parallel.h); null: this one alone. All
  // ranks make the same calls (infer/rank_backend.h).
  const Ranks* ranks = nullptr;
};

class CpuBackend : public Backend {
 public:
  // The weights must outlive it. Throws Error (exit code 1) when there are no addresses for such a cache.
  explicit CpuBackend(const Weights& weights, const CpuBackendOptions& options = {});

  const Config& config() const override { return weights_.config; }
  int64_t pages() const override { return pages_; }
  int64_t page_positions() const override { return kernels::kPagePositions; }
  int64_t page_bytes() const override { return page_bytes_; }
  int64_t max_rows() const override { return max_rows_; }
  void run(const Batch& batch) override;
  void logits(std::span<const int64_t> rows, Matrix out) override;
  // Screens the head first, where that can be done (ops/head_screen.h), for one rank.
  void top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) override;
  void copy_page(PageId from, PageId to) override;

  // Rows of the head that were multiplied in full after screening, and rows of logits that had to be computed whole
  // although they were screened.
  struct Screened {
    int64_t rows = 0, multiplied = 0, failed = 0;
  };
  const Screened& screened() const { return screened_; }

 private:
  ConstMatrix gathered(std::span<const int64_t> rows);
  void screened_top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out);
  void multiply(std::span<const int32_t> tokens, const float* x, int64_t k,
                std::span<TokenLogit> out);
  const Weights& weights_;
  Ranks alone_;
  const Ranks& ranks_;
  int64_t page_bytes_, pages_, max_rows_;
  // [pages][layers][a page of one layer]: addresses only; memory comes as pages are first written, in their order.
  HugeBuffer memory_;
  State state_;
  std::optional<HeadScreen> screen_;  // made when it is first wanted
  bool screen_made_ = false;
  std::vector<std::vector<int32_t>> candidates_;
  std::vector<TokenLogit> multiplied_;
  Screened screened_;
};

// By its name (kernels/kv.h). Throws Error listing the names.
KvType kv_type_from(std::string_view name);
// Bytes of cached keys and values per position, in all layers.
int64_t kv_bytes_per_position(const Config& config, KvType type);

}  // namespace trit
