#include "quant/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

std::vector<int8_t> levels_of(const WeightQuantizer& q, const std::vector<float>& w) {
  std::vector<int8_t> levels(w.size());
  quantize_weights(q, w, levels);
  return levels;
}

// Hand computation: mean|W| = (0.5 + 1 + 0.25 + 0 + 0.25 + 1) / 6 = 0.5; a weight is non-zero iff it
// is above half of that, and exactly half (0.25) ties to the even 0.
TEST(Ternary, FollowsTheDefinitionWithTiesToZero) {
  const std::vector<float> w = {0.5f, -1.0f, 0.25f, 0.0f, -0.25f, 1.0f};
  const WeightQuantizer q = fit_quantizer(WeightKind::kTernary, w, "w");
  EXPECT_EQ(q.scale, 0.5f);
  EXPECT_EQ(levels_of(q, w), (std::vector<int8_t>{1, -1, 0, 0, 0, 1}));
}

TEST(Ternary, AgreesWithNearbyintOnRandomWeights) {
  Rng rng(1);
  std::vector<float> w(4099);
  for (float& x : w) x = 0.02f * rng.normal();
  const WeightQuantizer q = fit_quantizer(WeightKind::kTernary, w, "w");
  const auto levels = levels_of(q, w);
  for (size_t i = 0; i < w.size(); ++i) {
    const float rounded = std::nearbyint(w[i] * (1.0f / q.scale));  // half to even by default
    EXPECT_EQ(levels[i], std::max(-1.0f, std::min(1.0f, rounded)));
  }
  // E|x| of a normal is sqrt(2/pi) sigma; half of it cuts off 31 % of the mass.
  EXPECT_NEAR(q.scale, 0.02 * std::sqrt(2 / M_PI), 0.0005);
  EXPECT_NEAR(std::ranges::count(levels, 0) / 4099.0, 0.31, 0.03);
}

TEST(Ternary, QuantisedWeightsKeepTheirLevels) {
  Rng rng(2);
  std::vector<float> w(1000);
  for (float& x : w) x = rng.normal();
  const WeightQuantizer q = fit_quantizer(WeightKind::kTernary, w, "w");
  const auto levels = levels_of(q, w);
  std::vector<float> dequantised(w.size());
  for (size_t i = 0; i < w.size(); ++i) dequantised[i] = levels[i] * q.scale;
  EXPECT_EQ(levels_of(fit_quantizer(WeightKind::kTernary, dequantised, "w"), dequantised), levels);
}

TEST(Ternary, AllZeroMatrixTakesTheFloor) {
  const std::vector<float> w(77, 0.0f);
  const WeightQuantizer q = fit_quantizer(WeightKind::kTernary, w, "w");
  EXPECT_EQ(q.scale, 1e-5f);
  EXPECT_EQ(levels_of(q, w), std::vector<int8_t>(77, 0));
}

TEST(Ternary, MastersQuantiseToTheLevelsAndTheScaleTheyCameFrom) {
  Rng rng(5);
  for (const auto& [rows, columns] : {std::pair{37, 130}, std::pair{64, 256}, std::pair{5, 3}}) {
    std::vector<int8_t> levels(static_cast<size_t>(rows * columns));
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns)));
    pack_trits(levels, rows, columns, packed);
    for (const float scale : {0.0173f, 1.0f, 3.7e-4f}) {
      std::vector<uint16_t> masters(levels.size());
      masters_of_levels(packed, rows, columns, scale, masters.data());
      std::vector<float> values(levels.size());
      to_f32(DType::kBF16, masters.data(), values.size(), values.data());
      const WeightQuantizer quantizer = fit_quantizer(WeightKind::kTernary, values, "w");
      std::vector<int8_t> back(levels.size());
      quantize_weights(quantizer, values, back);
      EXPECT_EQ(back, levels);
      if (rows * columns > 1000) {
        EXPECT_EQ(quantizer.scale, scale);
      } else {
        EXPECT_NEAR(quantizer.scale / scale, 1.0f, 1e-5f);
      }
    }
  }
}

TEST(Binary, SignAroundTheMeanWithZeroNegative) {
  const std::vector<float> w = {3.0f, -1.0f, 1.0f, 1.0f};  // mean 1, mean|w| 1.5
  const WeightQuantizer q = fit_quantizer(WeightKind::kBinary, w, "w");
  EXPECT_EQ(q.scale, 1.5f);
  EXPECT_EQ(q.threshold, 1.0f);
  EXPECT_EQ(levels_of(q, w), (std::vector<int8_t>{1, -1, -1, -1}));
}

// Two blocks and three weights: 16,384 of 0.5, 16,384 of -1.5, three of 2. By hand the mean of |w| is
// (8192 + 24576 + 6) / 32771 = 1.000091544..., of w (8192 - 24576 + 6) / 32771 = -0.499771...
TEST(Quantizer, IsThatOfTheSumsOfBlocks) {
  std::vector<float> w(2 * kSumBlock + 3, 2.0f);
  std::fill_n(w.begin(), kSumBlock, 0.5f);
  std::fill_n(w.begin() + kSumBlock, kSumBlock, -1.5f);
  const std::span<const float> all(w);
  const WeightSums blocks[] = {sum_block(all.first(kSumBlock)),
                               sum_block(all.subspan(kSumBlock, kSumBlock)),
                               sum_block(all.subspan(2 * kSumBlock))};
  EXPECT_EQ(blocks[1].sum, -24576.0);
  EXPECT_EQ(blocks[1].absolute, 24576.0);
  const auto count = static_cast<int64_t>(w.size());
  const WeightQuantizer joined = fit_quantizer(WeightKind::kBinary, blocks, count, "w");
  EXPECT_EQ(joined.scale, static_cast<float>(32774.0 / 32771.0));
  EXPECT_EQ(joined.threshold, static_cast<float>(-16378.0 / 32771.0));
  const WeightQuantizer whole = fit_quantizer(WeightKind::kBinary, w, "w");
  EXPECT_EQ(whole.scale, joined.scale);
  EXPECT_EQ(whole.threshold, joined.threshold);
}

TEST(Quantizer, RefusesNanAndInfinityByName) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> w = {1.0f, bad, 2.0f};
    try {
      fit_quantizer(WeightKind::kTernary, w, "blk.3.attn_q.weight");
      FAIL() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("blk.3.attn_q.weight: weight 1 is"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace trit
