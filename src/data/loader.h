#pragma once
// Batches of token windows in a shuffled order that is a pure function of the step.

#include <cstdint>

#include "data/shards.h"

namespace trit {

// A permutation of [0, size), chosen by `key`; the image of `index`. A Feistel network over the next
// power of four, walked along its cycle until it lands inside (Black and Rogaway, CT-RSA 2002).
uint64_t permuted(uint64_t index, uint64_t size, uint64_t key);

// Sample s of a split is the window of T + 1 tokens at s * T: inputs are its first T tokens, targets
// its last T. Each epoch goes through all samples once in an order of its own. Nothing is kept
// between calls, so a run resumes with the step number alone. Thread-safe.
class Loader {
 public:
  // `dataset` must outlive the loader. T = sequence_length >= 1, B = sequences per step >= 1.
  // Throws Error when the split has fewer than T + 1 tokens.
  Loader(const TokenDataset& dataset, Split split, int64_t sequence_length, int64_t sequences,
         uint64_t seed);

  // Batch `step` >= 0 in the shuffled order: inputs and targets are [B, T].
  void batch(int64_t step, int32_t* inputs, int32_t* targets) const;
  // Its sequences [first, first + count) alone.
  void batch(int64_t step, int64_t first, int64_t count, int32_t* inputs, int32_t* targets) const;
  // Sample `index` in file order, for evaluation: inputs and targets are [T].
  void sample(int64_t index, int32_t* inputs, int32_t* targets) const;
  // The tokens after the last whole window belong to no sample.
  int64_t samples_per_epoch() const { return samples_; }

 private:
  const TokenDataset& dataset_;
  Split split_;
  int64_t length_, sequences_, samples_;
  uint64_t seed_;
};

}  // namespace trit
