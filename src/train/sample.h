#pragma once
// What a model writes while it is trained.

#include <cstdint>
#include <string>

#include "model/model.h"
#include "text/tokenizer.h"

namespace trit {

struct SampleOptions {
  int64_t every = 0;   // steps; 0: never
  std::string prompt;  // empty: the beginning of a document
  int64_t max_tokens = 100;
};

// The prompt and what follows, sampled with the step as the seed: the same text whenever that step is taken.
std::string sample_text(const Weights& weights, const Tokenizer& tokenizer,
                        const SampleOptions& options, int64_t step);

}  // namespace trit
