#include "quant/weights.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace trit {

std::string_view to_string(WeightKind kind) {
  switch (kind) {
    case WeightKind::kFloat:
      return "float";
    case WeightKind::kTernary:
      return "ternary";
    case WeightKind::kBinary:
      return "binary";
  }
  return "?";
}

WeightQuantizer fit_quantizer(WeightKind kind, std::span<const float> w, std::string_view name) {
  TRIT_CHECK(kind != WeightKind::kFloat);
  // Sixteen partial sums: a fixed order that compilers can vectorise.
  constexpr size_t kLanes = 16;
  double sums[kLanes] = {}, absolute_sums[kLanes] = {};
  for (size_t i = 0; i < w.size(); ++i) {
    sums[i % kLanes] += static_cast<double>(w[i]);
    absolute_sums[i % kLanes] += std::fabs(static_cast<double>(w[i]));
  }
  double sum = 0, absolute_sum = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    sum += sums[lane];
    absolute_sum += absolute_sums[lane];
  }
  if (!std::isfinite(absolute_sum)) {
    const auto bad = std::ranges::find_if(w, [](float x) { return !std::isfinite(x); });
    bad_input("{}: weight {} is {}; weights must be finite", name, bad - w.begin(), *bad);
  }
  const double count = std::max<double>(1.0, static_cast<double>(w.size()));
  WeightQuantizer quantizer;
  quantizer.kind = kind;
  quantizer.scale = std::max(static_cast<float>(absolute_sum / count), kScaleFloor);
  quantizer.inverse = 1.0f / quantizer.scale;
  quantizer.threshold = static_cast<float>(sum / count);
  return quantizer;
}

void quantize_weights(const WeightQuantizer& quantizer, std::span<const float> w,
                      std::span<int8_t> levels) {
  TRIT_CHECK(w.size() == levels.size());
  if (quantizer.kind == WeightKind::kBinary) {
    for (size_t i = 0; i < w.size(); ++i) levels[i] = w[i] > quantizer.threshold ? 1 : -1;
    return;
  }
  // round-half-even then clamp to one: above half it is +1, at most half it is 0 (0.5 ties to 0).
  for (size_t i = 0; i < w.size(); ++i) {
    const float scaled = w[i] * quantizer.inverse;
    levels[i] =
        static_cast<int8_t>(static_cast<int>(scaled > 0.5f) - static_cast<int>(scaled < -0.5f));
  }
}

}  // namespace trit
