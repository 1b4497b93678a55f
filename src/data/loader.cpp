#include "data/loader.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace trit {
namespace {

constexpr int kRounds = 6;

uint64_t feistel(uint64_t value, int half_bits, uint64_t key) {
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  uint64_t left = value >> half_bits, right = value & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t mixed = splitmix64(splitmix64(key + round) ^ right);
    left = std::exchange(right, left ^ (mixed & mask));
  }
  return left << half_bits | right;
}

}  // namespace

uint64_t permuted(uint64_t index, uint64_t size, uint64_t key) {
  TRIT_CHECK(index < size && size <= uint64_t{1} << 62);
  const int half_bits = (std::bit_width(size - 1) + 1) / 2;
  do {
    index = feistel(index, half_bits, key);
  } while (index >= size);
  return index;
}

Loader::Loader(const TokenDataset& dataset, Split split, int64_t sequence_length, int64_t sequences,
               uint64_t seed)
    : dataset_(dataset),
      split_(split),
      length_(sequence_length),
      sequences_(sequences),
      samples_(0),
      seed_(seed) {
  if (length_ < 1 || sequences_ < 1) {
    bad_input("loader: sequence length {} and sequences {} must both be at least 1", length_,
              sequences_);
  }
  samples_ = (dataset.tokens(split) - 1) / length_;
  if (dataset.tokens(split) < 1 || samples_ < 1) {
    bad_input("{}: split '{}' has {} tokens; a sequence of {} needs one more than that",
              dataset.directory().string(), split_name(split), dataset.tokens(split), length_);
  }
}

void Loader::batch(int64_t step, int32_t* inputs, int32_t* targets) const {
  batch(step, 0, sequences_, inputs, targets);
}

void Loader::batch(int64_t step, int64_t first, int64_t count, int32_t* inputs,
                   int32_t* targets) const {
  TRIT_CHECK(step >= 0 && step < (int64_t{1} << 62) / sequences_);
  TRIT_CHECK(first >= 0 && count >= 0 && first + count <= sequences_);
  const auto epoch_size = static_cast<uint64_t>(samples_);
  for (int64_t b = 0; b < count; ++b) {
    const auto position = static_cast<uint64_t>(step * sequences_ + first + b);
    const uint64_t key = splitmix64(splitmix64(seed_) + position / epoch_size);
    const uint64_t index = permuted(position % epoch_size, epoch_size, key);
    sample(static_cast<int64_t>(index), inputs + b * length_, targets + b * length_);
  }
}

void Loader::sample(int64_t index, int32_t* inputs, int32_t* targets) const {
  TRIT_CHECK(index >= 0 && index < samples_);
  dataset_.read(split_, index * length_, length_, inputs);
  std::copy(inputs + 1, inputs + length_, targets);
  dataset_.read(split_, (index + 1) * length_, 1, targets + length_ - 1);
}

}  // namespace trit
