#include "train/shares.h"

#include <algorithm>

#include "base/error.h"

namespace trit {
namespace {

// Where parts of the rows [first, last) may begin, and the end of the bucket.
std::vector<int64_t> candidates(std::span<const TensorRow> table, size_t first, size_t last) {
  std::vector<int64_t> starts;
  for (size_t i = first; i < last; ++i) {
    for (int64_t at = 0; at < table[i].count(); at += kSumBlock)
      starts.push_back(table[i].offset + at);
  }
  starts.push_back(last < table.size() ? table[last].offset : flat_size(table));
  return starts;
}

// Cuts as even as the candidates allow.
std::vector<int64_t> cut(const std::vector<int64_t>& starts, int ranks) {
  const int64_t begin = starts.front(), size = starts.back() - begin;
  std::vector<int64_t> cuts = {begin};
  for (int r = 1; r < ranks; ++r) {
    const int64_t ideal = begin + size * r / ranks;
    const auto above = std::ranges::lower_bound(starts, ideal);
    const bool below_is_nearer = above != starts.begin() && ideal - *(above - 1) < *above - ideal;
    cuts.push_back(below_is_nearer ? *(above - 1) : *above);
  }
  cuts.push_back(starts.back());
  return cuts;
}

}  // namespace

Stretch common(Stretch a, Stretch b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

Shares::Shares(std::span<const TensorRow> table, int ranks) : ranks_(ranks) {
  TRIT_CHECK(ranks > 0 && !table.empty());
  // A bucket ends where the layer changes.
  for (size_t first = 0, last = 0; first < table.size(); first = last) {
    while (last < table.size() && table[last].layer == table[first].layer) ++last;
    cuts_.push_back(cut(candidates(table, first, last), ranks));
  }
}

std::vector<int64_t> Shares::sizes(int b) const {
  std::vector<int64_t> sizes;
  for (int r = 0; r < ranks_; ++r) sizes.push_back(part(b, r).size());
  return sizes;
}

std::vector<Stretch> Shares::parts(int rank) const {
  std::vector<Stretch> parts;
  for (int b = 0; b < buckets(); ++b) parts.push_back(part(b, rank));
  return parts;
}

int64_t Shares::size(int rank) const {
  int64_t size = 0;
  for (const Stretch& part : parts(rank)) size += part.size();
  return size;
}

}  // namespace trit
