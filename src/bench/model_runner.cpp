#include "bench/model_runner.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace trit::bench {

ModelRunner::ModelRunner(const Weights& weights, Place& place, KvType kv_type, int64_t sequences,
                         int64_t positions)
    : weights_(weights),
      sequences_(sequences),
      backend_(place.backend(
          weights, {.kv_type = kv_type,
                    .positions = sequences * kernels::pages_of(positions) * kernels::kPagePositions,
                    .max_rows = std::max(sequences, std::min(kPromptRows, positions))})),
      pages_(static_cast<size_t>(backend_->pages())) {
  TRIT_CHECK(positions <= weights.config.context);
  std::iota(pages_.begin(), pages_.end(), 0);
  const auto each = static_cast<size_t>(kernels::pages_of(positions));
  for (size_t s = 0; s < static_cast<size_t>(sequences); ++s)
    tables_.push_back(PageTable(pages_).subspan(s * each, each));
}

// Any token costs the same; different ones, so that no cache holds the embedding's rows.
int32_t ModelRunner::next_token() {
  token_state_ = splitmix64(token_state_);
  return static_cast<int32_t>(token_state_ % static_cast<uint64_t>(weights_.config.vocabulary));
}

void ModelRunner::run(int64_t rows) {
  tokens_.clear();
  for (int64_t i = 0; i < rows; ++i) tokens_.push_back(next_token());
  backend_->run({tokens_, slots_, tables_});
}

void ModelRunner::find_largest() {
  const int64_t k = std::min(kCandidates, weights_.config.vocabulary);
  largest_.resize(rows_.size() * static_cast<size_t>(k));
  backend_->top(rows_, k, largest_);
}

void ModelRunner::prefill(int64_t count) {
  for (int64_t s = 0; s < sequences_; ++s) {
    for (int64_t begin = 0; begin < count; begin += kPromptRows) {
      const int64_t rows = std::min(kPromptRows, count - begin);
      slots_.clear();
      for (int64_t i = 0; i < rows; ++i)
        slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position_ + begin + i)});
      run(rows);
    }
    rows_ = {std::ssize(slots_) - 1};
    find_largest();
  }
  position_ += count;
}

void ModelRunner::decode() {
  slots_.clear();
  for (int64_t s = 0; s < sequences_; ++s)
    slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position_)});
  run(sequences_);
  rows_.resize(static_cast<size_t>(sequences_));
  std::iota(rows_.begin(), rows_.end(), 0);
  find_largest();
  ++position_;
}

int64_t ModelRunner::memory_bytes(const Config& c, KvType kv_type, int64_t sequences,
                                  int64_t positions) {
  const int64_t pages = kernels::pages_of(positions);
  const int64_t cache =
      sequences * pages * kernels::kPagePositions * kv_bytes_per_position(c, kv_type);
  const int64_t rows = std::max(sequences, std::min(kPromptRows, positions));
  // The widest views of State, generously.
  const int64_t activations = rows * (10 * c.hidden + 6 * c.ffn + 6 * c.heads * c.head_dim) * 4;
  return cache + activations + sequences * c.vocabulary * 4;
}

}  // namespace trit::bench
