#pragma once
// From logits to the next token.

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"
#include "infer/largest.h"

namespace trit {

struct SamplerOptions {
  double temperature = 0.8;  // 0: greedy, the first token of the largest logit
  int64_t top_k = 40;        // only the k most probable tokens; 0: all
  double top_p = 0.95;       // of those, the fewest whose probabilities reach p; 1: all
  double min_p = 0.05;  // of those, the ones at least min_p times as probable as the best; 0: all
  double repetition_penalty =
      1.0;  // logits of recent tokens are divided (if positive) or multiplied by it
  int64_t repetition_window = 64;  // how many tokens are recent
  uint64_t seed = 0;
};

// Throws Error naming the option that is out of its range.
void validate(const SamplerOptions& options);

// The filters apply in the order of the options, each on what the one before left; temperature
// reshapes the probabilities before top_p. Deterministic for a seed. Ties are broken by token id.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  // `history`: the tokens so far, prompt included, latest last. Changes `logits` (repetition penalty).
  int32_t sample(std::span<float> logits, std::span<const int32_t> history);

  // How many of the largest logits decide, whatever the others are; 0: every one may.
  int64_t needed() const;
  // The same token from these alone: the needed() largest or more, of tied ones those of smaller token ids.
  int32_t sample(std::span<const TokenLogit> largest, std::span<const int32_t> history);

 private:
  std::vector<int32_t> penalised_tokens(std::span<const int32_t> history) const;
  float penalised(float logit) const;
  int32_t choose();
  SamplerOptions options_;
  Rng rng_;
  std::vector<TokenLogit> candidates_;
  std::vector<double> probabilities_;  // of the candidates
};

}  // namespace trit
