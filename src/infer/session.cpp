#include "infer/session.h"

#include <algorithm>

#include "base/error.h"

namespace trit {

namespace {
constexpr int64_t kPrefillRows = 256;  // rows of one forward pass of a long prompt
}

Session::Session(const Weights& weights, int64_t context)
    : weights_(weights),
      context_(std::min(context, weights.config.context)),
      state_(weights.config, Pass::kContinue, 1, context_, std::min(kPrefillRows, context_)),
      logits_(static_cast<size_t>(weights.config.vocabulary)) {}

std::span<float> Session::feed(std::span<const int32_t> tokens) {
  TRIT_CHECK(!tokens.empty());
  const auto count = static_cast<int64_t>(tokens.size());
  if (position_ + count > context_) {
    bad_input("{} tokens after {}: the context has room for {}", count, position_, context_);
  }
  std::vector<TokenSlot> slots;
  for (int64_t begin = 0; begin < count; begin += kPrefillRows) {
    const int64_t rows = std::min(kPrefillRows, count - begin);
    slots.clear();
    for (int64_t i = 0; i < rows; ++i) slots.push_back({0, static_cast<int32_t>(position_ + i)});
    forward(weights_,
            {tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)), slots}, state_);
    position_ += rows;
  }
  logits(weights_, state_, state_.rows() - 1, {logits_.data(), 1, weights_.config.vocabulary});
  return logits_;
}

void Session::rewind(int64_t position) {
  TRIT_CHECK(position >= 0 && position <= position_);
  position_ = position;
}

int64_t Session::cache_bytes_per_position() const {
  const Config& c = weights_.config;
  return 2 * c.layers * c.kv_heads * c.head_dim * static_cast<int64_t>(sizeof(float));
}

}  // namespace trit
