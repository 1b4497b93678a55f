#include "quant/weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "quant/packing.h"

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

WeightSums sum_block(std::span<const float> block) {
  // Sixteen partial sums: a fixed order that compilers can vectorise.
  constexpr size_t kLanes = 16;
  double sums[kLanes] = {}, absolute_sums[kLanes] = {};
  for (size_t i = 0; i < block.size(); ++i) {
    sums[i % kLanes] += static_cast<double>(block[i]);
    absolute_sums[i % kLanes] += std::fabs(static_cast<double>(block[i]));
  }
  WeightSums total;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    total.sum += sums[lane];
    total.absolute += absolute_sums[lane];
  }
  return total;
}

WeightQuantizer fit_quantizer(WeightKind kind, std::span<const WeightSums> blocks, int64_t count,
                              std::string_view name) {
  TRIT_CHECK(kind != WeightKind::kFloat);
  WeightSums total;
  for (const WeightSums& block : blocks) {
    total.sum += block.sum;
    total.absolute += block.absolute;
  }
  if (!std::isfinite(total.absolute))
    bad_input("{}: a weight is not finite; weights must be finite", name);
  const double divisor = std::max<double>(1.0, static_cast<double>(count));
  WeightQuantizer quantizer;
  quantizer.kind = kind;
  quantizer.scale = std::max(static_cast<float>(total.absolute / divisor), kScaleFloor);
  quantizer.inverse = 1.0f / quantizer.scale;
  quantizer.threshold = static_cast<float>(total.sum / divisor);
  return quantizer;
}

WeightQuantizer fit_quantizer(WeightKind kind, std::span<const float> w, std::string_view name) {
  constexpr auto kBlock = static_cast<size_t>(kSumBlock);
  std::vector<WeightSums> blocks;
  for (size_t begin = 0; begin < w.size(); begin += kBlock)
    blocks.push_back(sum_block(w.subspan(begin, std::min(kBlock, w.size() - begin))));
  const auto bad = std::ranges::find_if(
      blocks, [](const WeightSums& block) { return !std::isfinite(block.absolute); });
  if (bad != blocks.end()) {
    const auto weight = std::ranges::find_if(w, [](float x) { return !std::isfinite(x); });
    bad_input("{}: weight {} is {}; weights must be finite", name, weight - w.begin(), *weight);
  }
  return fit_quantizer(kind, blocks, static_cast<int64_t>(w.size()), name);
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

void masters_of_levels(std::span<const uint8_t> packed, int64_t rows, int64_t columns, float scale,
                       uint16_t* bf16) {
  const TritCounts counts = count_trits(packed, rows, columns);
  const int64_t signs = counts.minus + counts.plus;
  std::fill_n(bf16, rows * columns, uint16_t{0});
  if (signs == 0) return;
  const double sum = static_cast<double>(scale) * static_cast<double>(rows * columns);
  // The bfloat16 at or below the mean size of the signs, and the next one above.
  uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(sum / static_cast<double>(signs)));
  auto low_bits = static_cast<uint16_t>(bits >> 16);
  const double low = static_cast<double>(bf16_to_f32(low_bits));
  const double high = static_cast<double>(bf16_to_f32(static_cast<uint16_t>(low_bits + 1)));
  const double above = std::floor((sum - low * static_cast<double>(signs)) / (high - low));
  const auto raised = std::clamp<int64_t>(static_cast<int64_t>(above), 0, signs);
  const double rest =
      sum - low * static_cast<double>(signs) - (high - low) * static_cast<double>(raised);
  int64_t sign = 0;
  bool rest_placed = false;
  std::vector<int8_t> levels(static_cast<size_t>(columns));
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = packed.subspan(static_cast<size_t>(r * packed_row_bytes(columns)),
                                    static_cast<size_t>(packed_row_bytes(columns)));
    unpack_trits(row, 1, columns, levels, "levels");
    for (int64_t c = 0; c < columns; ++c) {
      uint16_t& out = bf16[r * columns + c];
      const int8_t level = levels[static_cast<size_t>(c)];
      if (level != 0) {
        const auto size = static_cast<uint16_t>(low_bits + (sign++ < raised ? 1 : 0));
        out = static_cast<uint16_t>(size | (level < 0 ? 0x8000 : 0));
      } else if (!rest_placed) {
        rest_placed = true;
        out = f32_to_bf16(static_cast<float>(std::max(0.0, rest)));
      }
    }
  }
}

}  // namespace trit
