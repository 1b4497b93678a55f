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

void Sampler::penalise(std::span<float> logits, std::span<const int32_t> history) const {
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  if (penalty == 1.0f) return;
  const size_t window = std::min(history.size(), static_cast<size_t>(options_.repetition_window));
  std::vector<int32_t> recent(history.end() - static_cast<std::ptrdiff_t>(window), history.end());
  std::ranges::sort(recent);
  recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
  for (const int32_t token : recent) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

void Sampler::keep_top_k(std::span<const float> logits) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    candidates_.push_back({logits[i], static_cast<int32_t>(i), 0.0});
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k),
                     candidates_.end(), better);
    candidates_.resize(k);
  }
  std::ranges::sort(candidates_, better);
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history) {
  TRIT_CHECK(!logits.empty());
  penalise(logits, history);
  if (options_.temperature == 0) {
    return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
  }
  keep_top_k(logits);
  double total = 0;
  const double best = candidates_.front().logit;
  for (Candidate& c : candidates_) {
    total += c.probability = std::exp((static_cast<double>(c.logit) - best) / options_.temperature);
  }
  // Candidates stand in falling order, so each filter cuts off a tail.
  size_t kept = 0;
  double reached = 0;
  while (kept < candidates_.size() && reached < options_.top_p * total)
    reached += candidates_[kept++].probability;
  while (kept > 1 && candidates_[kept - 1].probability < options_.min_p)
    reached -= candidates_[--kept].probability;
  double point = rng_.uniform() * reached;
  for (size_t i = 0; i < kept; ++i) {
    point -= candidates_[i].probability;
    if (point < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

}  // namespace trit
