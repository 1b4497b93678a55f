#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"
#include "base/rng.h"

namespace trit {
namespace {

constexpr uint64_t kEmpty = ~uint64_t{0};
constexpr int32_t kGone = -1;  // a symbol that was merged into its left neighbour

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

size_t at(int32_t position) { return static_cast<size_t>(position); }

}  // namespace

MergeTable::MergeTable(size_t count) : slots_(std::bit_ceil(2 * count + 2), {kEmpty, {}}) {}

size_t MergeTable::slot_of(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  size_t i = splitmix64(key) & mask;
  while (slots_[i].key != key && slots_[i].key != kEmpty) i = (i + 1) & mask;
  return i;
}

bool MergeTable::add(int32_t left, int32_t right, Merge merge) {
  Slot& slot = slots_[slot_of(pair_key(left, right))];
  if (slot.key != kEmpty) return false;
  slot = {pair_key(left, right), merge};
  return true;
}

const Merge* MergeTable::find(int32_t left, int32_t right) const {
  const Slot& slot = slots_[slot_of(pair_key(left, right))];
  return slot.key == kEmpty ? nullptr : &slot.merge;
}

void WordMerger::consider(const std::vector<int32_t>& symbols, int32_t left, int32_t right) {
  if (left < 0 || right < 0) return;
  const int32_t a = symbols[at(left)], b = symbols[at(right)];
  if (const Merge* merge = table_.find(a, b)) {
    heap_.push_back({merge->rank, left, a, b, merge->token});
    std::push_heap(heap_.begin(), heap_.end());
  }
}

void WordMerger::join(std::vector<int32_t>& symbols, const Candidate& pair) {
  const int32_t here = pair.position, gone = next_[at(here)];
  symbols[at(here)] = pair.token;
  symbols[at(gone)] = kGone;
  next_[at(here)] = next_[at(gone)];
  if (next_[at(here)] >= 0) previous_[at(next_[at(here)])] = here;
  consider(symbols, previous_[at(here)], here);
  consider(symbols, here, next_[at(here)]);
}

void WordMerger::merge(std::vector<int32_t>& symbols) {
  if (symbols.size() < 2) return;
  symbols.size() <= kShort ? merge_short(symbols) : merge_long(symbols);
}

void WordMerger::merge_short(std::vector<int32_t>& symbols) const {
  std::array<Merge, kShort> pairs;  // [i]: of symbols i and i + 1
  const auto pair_at = [&](size_t i) {
    const Merge* merge = table_.find(symbols[i], symbols[i + 1]);
    return merge == nullptr ? Merge{INT32_MAX, kGone} : *merge;
  };
  size_t count = symbols.size() - 1;  // of pairs
  for (size_t i = 0; i < count; ++i) pairs[i] = pair_at(i);
  while (count > 0) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].token == kGone) break;
    symbols[best] = pairs[best].token;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    std::copy(pairs.begin() + best + 1, pairs.begin() + count, pairs.begin() + best);
    --count;
    if (best > 0) pairs[best - 1] = pair_at(best - 1);
    if (best < count) pairs[best] = pair_at(best);
  }
}

void WordMerger::merge_long(std::vector<int32_t>& symbols) {
  const auto count = static_cast<int32_t>(symbols.size());
  previous_.resize(symbols.size());
  next_.resize(symbols.size());
  heap_.clear();
  for (int32_t i = 0; i < count; ++i) {
    previous_[at(i)] = i - 1;
    next_[at(i)] = i + 1 < count ? i + 1 : -1;
    consider(symbols, i, next_[at(i)]);
  }
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Candidate pair = heap_.back();
    heap_.pop_back();
    const int32_t right = next_[at(pair.position)];
    // A candidate whose symbols have changed since is out of date.
    if (symbols[at(pair.position)] != pair.left || right < 0) continue;
    if (symbols[at(right)] == pair.right) join(symbols, pair);
  }
  std::erase(symbols, kGone);
}

}  // namespace trit
