#pragma once
// Checkpoints of published shapes with random weights: what loading, memory and speed are measured on when
// the weights themselves are not at hand.

#include <span>
#include <string_view>

#include "model/checkpoint.h"

namespace trit {

struct PublishedModel {
  std::string_view name;  // as published: "microsoft/bitnet-b1.58-2B-4T"
  std::string_view about;
  Config config;
  DType type;  // of embeddings and norms
};
std::span<const PublishedModel> published_models();
// Throws Error listing the names.
const PublishedModel& published_model(std::string_view name);

// Levels 0 with probability 1/2, -1 and +1 with 1/4 each; scales, embeddings and float weights that keep
// activations in range. The same for the same seed on every machine, whatever the number of threads.
Model synthetic_model(const Config& config, DType type, uint64_t seed);

}  // namespace trit
