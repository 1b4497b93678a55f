#pragma once
// How the ranks of a job share the parameters: each updates its own, and has the optimizer's state for them alone
// (ZeRO stage 1, Rajbhandari et al., arXiv 1910.02054).
//
// The flat array of parameters (model/model.h) is cut into buckets: what comes before the layers, each layer, what comes
// after. Of every bucket each rank has one part, so that all send and receive while the backward pass goes
// from layer to layer. Parts begin where a tensor or a block of kSumBlock of its elements begins: sums over blocks,
// the scales of ternary matrices and the gradient's norm among them, have the same bits for any number of ranks.

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace trit {

// Elements [begin, end) of the flat array.
struct Stretch {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
Stretch common(Stretch a, Stretch b);  // empty: begin == end

class Shares {
 public:
  Shares(std::span<const TensorRow> table, int ranks);

  int ranks() const { return ranks_; }
  int buckets() const { return static_cast<int>(cuts_.size()); }
  // The bucket of a layer, of what comes before all layers (layer -1) and of what comes after them (layer = layers).
  int bucket_of_layer(int64_t layer) const { return static_cast<int>(layer + 1); }
  Stretch bucket(int b) const { return {cuts_[at(b)].front(), cuts_[at(b)].back()}; }
  Stretch part(int b, int rank) const {
    return {cuts_[at(b)][at(rank)], cuts_[at(b)][at(rank + 1)]};
  }
  // Elements of every rank's part of a bucket.
  std::vector<int64_t> sizes(int b) const;
  // All parts of a rank, in order; their elements together.
  std::vector<Stretch> parts(int rank) const;
  int64_t size(int rank) const;

 private:
  static size_t at(int i) { return static_cast<size_t>(i); }
  int ranks_;
  std::vector<std::vector<int64_t>> cuts_;  // by bucket: ranks + 1 of them
};

// Calls body(row index, stretch of the flat array) for each block of kSumBlock elements, counted from the row's beginning,
// that lies in `within`, which begins and ends like a part.
template <class Body>
void for_blocks(std::span<const TensorRow> table, Stretch within, const Body& body) {
  for (size_t i = 0; i < table.size(); ++i) {
    const Stretch here = common(within, {table[i].offset, table[i].offset + table[i].count()});
    for (int64_t begin = here.begin; begin < here.end; begin += kSumBlock)
      body(i, Stretch{begin, std::min(begin + kSumBlock, here.end)});
  }
}

}  // namespace trit
