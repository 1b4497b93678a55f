#include "train/schedule.h"

#include <algorithm>

namespace trit {

namespace {
bool first_half(const Schedule& s, int64_t step) { return 2 * step < s.steps; }
}  // namespace

double learning_rate(const Schedule& s, int64_t step) {
  if (step < s.warmup) return s.peak * static_cast<double>(step) / static_cast<double>(s.warmup);
  const double peak = first_half(s, step) ? s.peak : s.second_peak;
  const double length = static_cast<double>(std::max<int64_t>(1, s.steps - s.warmup));
  const double left = 1.0 - static_cast<double>(step - s.warmup) / length;
  return s.end + (peak - s.end) * std::max(0.0, left);
}

double weight_decay(const Schedule& s, int64_t step) {
  return first_half(s, step) ? s.weight_decay : s.second_weight_decay;
}

Schedule default_schedule(const Config& config, int64_t steps) {
  const bool large = config.linear_parameters() >= 1'000'000'000;
  Schedule s;
  s.steps = steps;
  s.warmup = std::min<int64_t>(375, std::max<int64_t>(1, steps / 20));
  if (config.weights == WeightKind::kFloat) {
    s.peak = s.second_peak = large ? 2.0e-4 : 2.5e-4;
    s.end = s.peak / 10;
    s.second_weight_decay = s.weight_decay;
  } else if (large) {
    s.peak = 1.2e-3;
    s.second_peak = 8e-4;
  }
  return s;
}

}  // namespace trit
