#pragma once
// The engine's backend on the CPU.

#include <string_view>

#include "base/huge_buffer.h"
#include "infer/backend.h"
#include "model/parallel.h"
#include "model/transformer.h"

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
  void copy_page(PageId from, PageId to) override;

 private:
  const Weights& weights_;
  Ranks alone_;
  const Ranks& ranks_;
  int64_t page_bytes_, pages_, max_rows_;
  // [pages][layers][a page of one layer]: addresses only; memory comes as pages are first written, in their order.
  HugeBuffer memory_;
  State state_;
};

// By its name (kernels/kv.h). Throws Error listing the names.
KvType kv_type_from(std::string_view name);
// Bytes of cached keys and values per position, in all layers.
int64_t kv_bytes_per_position(const Config& config, KvType type);

}  // namespace trit
