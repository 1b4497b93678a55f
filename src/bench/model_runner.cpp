#include "bench/model_runner.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"

namespace trit::bench {

ModelRunner::ModelRunner(const Weights& weights, int64_t sequences, int64_t positions)
    : weights_(weights),
      sequences_(sequences),
      state_(weights.config, Pass::kContinue, sequences, positions,
             std::max(sequences, std::min(kPromptRows, positions))),
      logits_(static_cast<size_t>(sequences * weights.config.vocabulary)) {
  TRIT_CHECK(positions <= weights.config.context);
}

// Any token costs the same; different ones, so that no cache holds the embedding's rows.
int32_t ModelRunner::next_token() {
  token_state_ = splitmix64(token_state_);
  return static_cast<int32_t>(token_state_ % static_cast<uint64_t>(weights_.config.vocabulary));
}

void ModelRunner::run(int64_t rows) {
  tokens_.clear();
  for (int64_t i = 0; i < rows; ++i) tokens_.push_back(next_token());
  forward(weights_, {tokens_, slots_}, state_);
}

void ModelRunner::prefill(int64_t count) {
  const int64_t vocabulary = weights_.config.vocabulary;
  for (int64_t s = 0; s < sequences_; ++s) {
    for (int64_t begin = 0; begin < count; begin += kPromptRows) {
      const int64_t rows = std::min(kPromptRows, count - begin);
      slots_.clear();
      for (int64_t i = 0; i < rows; ++i)
        slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position_ + begin + i)});
      run(rows);
    }
    logits(weights_, state_, state_.rows() - 1, {logits_.data() + s * vocabulary, 1, vocabulary});
  }
  position_ += count;
}

void ModelRunner::decode() {
  slots_.clear();
  for (int64_t s = 0; s < sequences_; ++s)
    slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position_)});
  run(sequences_);
  logits(weights_, state_, 0, {logits_.data(), sequences_, weights_.config.vocabulary});
  ++position_;
}

int64_t ModelRunner::cache_bytes_per_position(const Config& c) {
  const AttentionShape shape{c.heads, c.kv_heads, c.head_dim};
  return c.layers * kv_page_bytes(KvType::kF32, shape) / kernels::kPagePositions;
}

int64_t ModelRunner::memory_bytes(const Config& c, int64_t sequences, int64_t positions) {
  const int64_t pages = kernels::pages_of(positions);
  const int64_t cache = sequences * pages * kernels::kPagePositions * cache_bytes_per_position(c);
  const int64_t rows = std::max(sequences, std::min(kPromptRows, positions));
  // The widest views of State, generously.
  const int64_t activations = rows * (10 * c.hidden + 6 * c.ffn + 6 * c.heads * c.head_dim) * 4;
  return cache + activations + sequences * c.vocabulary * 4;
}

}  // namespace trit::bench
