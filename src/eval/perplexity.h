#pragma once
// Perplexity of a model on a run of tokens.

#include <cstdint>
#include <functional>
#include <span>

#include "infer/place.h"

namespace trit {

struct PerplexityReport {
  int64_t tokens = 0;  // predicted
  double nats = 0;     // summed loss
  double seconds = 0;
  double loss() const { return nats / static_cast<double>(tokens); }  // nats per token
  double perplexity() const;
};

// Cuts `tokens` into windows of `window` + 1 tokens with a stride of `window` (the last may be shorter) and
// predicts each token of a window from those before it in the window: every token but the first of all
// is predicted once. `progress` gets the number predicted so far. Throws Error for fewer than two tokens.
PerplexityReport perplexity(const Weights& weights, std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t)>& progress = {});

// The same of a model in the form for `place`, which runs there on the engine's backend, with keys and values of that type.
// With float32 ones the CPU gives the same up to the order of summing in float products, which the BLAS has above.
PerplexityReport perplexity(Place& place, const Weights& weights, KvType kv_type,
                            std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t)>& progress = {});

}  // namespace trit
