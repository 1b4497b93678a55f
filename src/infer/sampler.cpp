#include "infer/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace trit {

void validate(const SamplerOptions& o) {
  const auto require = [](bool right, std::string_view option, auto value, std::string_view range) {
    if (!right) bad_input("--{}: {} is out of range; it must be {}", option, value, range);
  };
  require(o.temperature >= 0 && o.temperature <= 100, "temperature", o.temperature,
          "between 0 and 100");
  require(o.top_k >= 0, "top-k", o.top_k, "0 (all) or more");
  require(o.top_p > 0 && o.top_p <= 1, "top-p", o.top_p, "above 0 and at most 1");
  require(o.min_p >= 0 && o.min_p <= 1, "min-p", o.min_p, "between 0 and 1");
  require(o.repetition_penalty > 0 && o.repetition_penalty <= 100, "repetition-penalty",
          o.repetition_penalty, "above 0 and at most 100");
  require(o.repetition_window >= 0, "repetition-window", o.repetition_window, "0 or more");
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), rng_(options.seed) {
  validate(options);
}

int64_t Sampler::needed() const {
  const bool penalty = options_.repetition_penalty != 1.0;
  if (options_.repetition_penalty < 1.0) return 0;  // raises logits, wherever they stand
  if (options_.temperature > 0 && options_.top_k == 0) return 0;
  // A penalty lowers the logits of so many tokens that others take their places.
  return (options_.temperature == 0 ? 1 : options_.top_k) +
         (penalty ? options_.repetition_window : 0);
}

// The recent tokens, each once, in order.
std::vector<int32_t> Sampler::penalised_tokens(std::span<const int32_t> history) const {
  if (options_.repetition_penalty == 1.0) return {};
  const size_t window = std::min(history.size(), static_cast<size_t>(options_.repetition_window));
  std::vector<int32_t> recent(history.end() - static_cast<std::ptrdiff_t>(window), history.end());
  std::ranges::sort(recent);
  recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
  return recent;
}

float Sampler::penalised(float logit) const {
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  return logit > 0 ? logit / penalty : logit * penalty;
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history) {
  TRIT_CHECK(!logits.empty());
  for (const int32_t token : penalised_tokens(history)) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = penalised(logit);
  }
  if (options_.temperature == 0) {
    return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
  }
  find_largest(logits, options_.top_k > 0 ? options_.top_k : std::ssize(logits), candidates_);
  return choose();
}

int32_t Sampler::sample(std::span<const TokenLogit> largest, std::span<const int32_t> history) {
  TRIT_CHECK(needed() > 0 && !largest.empty());
  const std::vector<int32_t> recent = penalised_tokens(history);
  candidates_.clear();
  for (const TokenLogit& t : largest) {
    const bool lower = std::ranges::binary_search(recent, t.token);
    candidates_.push_back({lower ? penalised(t.logit) : t.logit, t.token});
  }
  return choose();
}

// The filters and the draw, over candidates in any order.
int32_t Sampler::choose() {
  std::ranges::sort(candidates_, better);
  if (options_.temperature == 0) return candidates_.front().token;
  if (options_.top_k > 0)
    candidates_.resize(std::min(candidates_.size(), static_cast<size_t>(options_.top_k)));
  double total = 0;
  const double best = candidates_.front().logit;
  probabilities_.clear();
  for (const TokenLogit& c : candidates_) {
    probabilities_.push_back(
        std::exp((static_cast<double>(c.logit) - best) / options_.temperature));
    total += probabilities_.back();
  }
  // Candidates stand in falling order, so each filter cuts off a tail.
  size_t kept = 0;
  double reached = 0;
  while (kept < candidates_.size() && reached < options_.top_p * total)
    reached += probabilities_[kept++];
  while (kept > 1 && probabilities_[kept - 1] < options_.min_p) reached -= probabilities_[--kept];
  double point = rng_.uniform() * reached;
  for (size_t i = 0; i < kept; ++i) {
    point -= probabilities_[i];
    if (point < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

}  // namespace trit
