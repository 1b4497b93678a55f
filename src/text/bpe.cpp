#include "text/bpe.h"

#include <algorithm>
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

MergeTable::MergeTable(size_t count)
    : keys_(std::bit_ceil(2 * count + 2), kEmpty), merges_(keys_.size()) {}

size_t MergeTable::slot(uint64_t key) const {
  const size_t mask = keys_.size() - 1;
  size_t i = splitmix64(key) & mask;
  while (keys_[i] != key && keys_[i] != kEmpty) i = (i + 1) & mask;
  return i;
}

bool MergeTable::add(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = pair_key(left, right);
  const size_t i = slot(key);
  if (keys_[i] == key) return false;
  keys_[i] = key;
  merges_[i] = merge;
  return true;
}

const Merge* MergeTable::find(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const size_t i = slot(key);
  return keys_[i] == key ? &merges_[i] : nullptr;
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
  const auto count = static_cast<int32_t>(symbols.size());
  if (count < 2) return;
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
