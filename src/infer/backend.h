#pragma once
// What runs a model for the engine: the CPU (infer/cpu_backend.h) or an accelerator. It owns the pages of the
// KV cache and knows nothing of sequences, sharing or scheduling.

#include <cstdint>
#include <span>

#include "base/tensor.h"
#include "infer/largest.h"
#include "infer/page_pool.h"
#include "model/transformer.h"

namespace trit {

// Bytes of a device's memory.
struct BackendMemory {
  int64_t weights = 0;  // which other backends may share
  int64_t cache = 0;
  int64_t work = 0;  // activations, logits, scratch
  int64_t all() const { return weights + cache + work; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Config& config() const = 0;
  virtual int64_t pages() const = 0;  // of the cache: 0 to pages() - 1
  virtual int64_t page_positions() const = 0;
  virtual int64_t page_bytes() const = 0;  // of all layers together
  virtual int64_t max_rows() const = 0;    // of a step

  // Runs the rows through all layers and writes their keys and values to the pages of batch.tables. Throws Error
  // when activations are not finite; what stands at the rows' positions is undefined then.
  virtual void run(const Batch& batch) = 0;
  // out [rows, V]: the logits after these rows of the last step.
  virtual void logits(std::span<const int64_t> rows, Matrix out) = 0;
  // The k best logits of each of these rows of the last step, 1 <= k <= V, the best first: the values that logits()
  // would give, bit for bit, tied ones by token. out [rows, k]. A backend may find them without computing all;
  // this one computes all.
  virtual void top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out);
  // losses[i] = -log softmax(logits after rows[i])[targets[i]] in nats, for evaluation. Throws Error for a target outside
  // the vocabulary.
  void losses(std::span<const int64_t> rows, std::span<const int32_t> targets,
              std::span<float> out);
  // Makes page `to` a copy of page `from`, in every layer.
  virtual void copy_page(PageId from, PageId to) = 0;
  // Nothing where the memory is the process's own.
  virtual BackendMemory memory() const { return {}; }

 protected:
  // losses() of targets that are in the vocabulary. This one computes all logits.
  virtual void find_losses(std::span<const int64_t> rows, std::span<const int32_t> targets,
                           std::span<float> out);

 private:
  Matrix all_logits(std::span<const int64_t> rows);
  Buffer<float> all_logits_;
};

}  // namespace trit
