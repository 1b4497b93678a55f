#include "infer/session.h"

#include <algorithm>

#include "base/error.h"

namespace trit {

namespace {
constexpr int64_t kPrefillRows = 256;  // rows of one forward pass of a long prompt
}

Session::Session(const Weights& weights, int64_t context, KvType kv_type)
    : context_(std::min(context, weights.config.context)),
      backend_(weights, {kv_type, context_, std::min(kPrefillRows, context_)}),
      pool_(backend_.pages(), backend_.page_positions()),
      pages_(pool_),
      logits_(static_cast<size_t>(weights.config.vocabulary)) {}

std::span<float> Session::feed(std::span<const int32_t> tokens) {
  TRIT_CHECK(!tokens.empty());
  const int64_t count = std::ssize(tokens);
  if (position_ + count > context_) {
    bad_input("{} tokens after {}: the context has room for {}", count, position_, context_);
  }
  TRIT_CHECK(pages_.reserve(position_ + count));
  const PageTable table = pages_.pages();
  std::vector<TokenSlot> slots;
  int64_t rows = 0;
  for (int64_t begin = 0; begin < count; begin += rows) {
    rows = std::min(backend_.max_rows(), count - begin);
    slots.clear();
    for (int64_t i = 0; i < rows; ++i) slots.push_back({0, static_cast<int32_t>(position_ + i)});
    backend_.run({tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                  slots,
                  {&table, 1}});
    position_ += rows;
  }
  const int64_t last = rows - 1;
  backend_.logits({&last, 1}, {logits_.data(), 1, std::ssize(logits_)});
  return logits_;
}

void Session::rewind(int64_t position) {
  TRIT_CHECK(position >= 0 && position <= position_);
  pages_.truncate(position);
  position_ = position;
}

}  // namespace trit
