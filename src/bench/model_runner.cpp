#include "bench/model_runner.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace trit::bench {

namespace {

CpuBackendOptions backend_options(const RunnerOptions& o) {
  return {.kv_type = o.kv_type,
          .positions = o.sequences * kernels::pages_of(o.positions) * kernels::kPagePositions,
          .max_rows = std::max(o.sequences, std::min(o.prompt_rows, o.positions))};
}

}  // namespace

ModelRunner::ModelRunner(const Config& config, const MakeBackend& make,
                         const RunnerOptions& options)
    : vocabulary_(config.vocabulary),
      prompt_rows_(options.prompt_rows),
      candidates_(std::min(options.candidates, config.vocabulary)),
      backend_(make(backend_options(options))),
      pages_(static_cast<size_t>(backend_->pages())) {
  TRIT_CHECK(options.positions <= config.context);
  std::iota(pages_.begin(), pages_.end(), 0);
  const auto each = static_cast<size_t>(kernels::pages_of(options.positions));
  for (size_t s = 0; s < static_cast<size_t>(options.sequences); ++s)
    tables_.push_back(PageTable(pages_).subspan(s * each, each));
}

// Any token costs the same; different ones, so that no cache holds the embedding's rows.
int32_t ModelRunner::next_token() {
  token_state_ = splitmix64(token_state_);
  return static_cast<int32_t>(token_state_ % static_cast<uint64_t>(vocabulary_));
}

void ModelRunner::run(int64_t rows) {
  tokens_.clear();
  for (int64_t i = 0; i < rows; ++i) tokens_.push_back(next_token());
  backend_->run({tokens_, slots_, tables_});
}

void ModelRunner::find_largest() {
  largest_.resize(rows_.size() * static_cast<size_t>(candidates_));
  backend_->top(rows_, candidates_, largest_);
}

void ModelRunner::prefill(int64_t sequence, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += prompt_rows_) {
    const int64_t rows = std::min(prompt_rows_, count - begin);
    slots_.clear();
    for (int64_t i = 0; i < rows; ++i)
      slots_.push_back(
          {static_cast<int32_t>(sequence), static_cast<int32_t>(position_ + begin + i)});
    run(rows);
  }
  rows_ = {std::ssize(slots_) - 1};
  find_largest();
}

void ModelRunner::prefill(int64_t count) {
  for (int64_t s = 0; s < sequences(); ++s) prefill(s, count);
  position_ += count;
}

void ModelRunner::prefill_alike(int64_t count) {
  const auto page = static_cast<size_t>(position_ / backend_->page_positions());
  prefill(0, count);
  position_ += count;
  const auto end = static_cast<size_t>((position_ - 1) / backend_->page_positions() + 1);
  for (size_t s = 1; s < tables_.size(); ++s) {
    for (size_t i = page; i < end; ++i) backend_->copy_page(tables_[0][i], tables_[s][i]);
  }
}

void ModelRunner::decode() {
  slots_.clear();
  for (int64_t s = 0; s < sequences(); ++s)
    slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position_)});
  run(sequences());
  rows_.resize(static_cast<size_t>(sequences()));
  std::iota(rows_.begin(), rows_.end(), 0);
  find_largest();
  ++position_;
}

int64_t ModelRunner::memory_bytes(const Config& c, const RunnerOptions& options) {
  const CpuBackendOptions backend = backend_options(options);
  const int64_t cache = backend.positions * kv_bytes_per_position(c, options.kv_type);
  // The widest views of State, generously.
  const int64_t activations =
      backend.max_rows * (10 * c.hidden + 6 * c.ffn + 6 * c.heads * c.head_dim) * 4;
  return cache + activations + options.sequences * c.vocabulary * 4;
}

}  // namespace trit::bench
