#include "model/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "model/synthetic.h"

namespace trit {
namespace {

Config tiny(Family family) {
  Config config = as_family(preset("nano"), family);
  config.vocabulary = 64;
  config.hidden = 32;
  config.heads = config.kv_heads = 2;
  config.head_dim = 16;
  config.ffn = 48;
  config.layers = 2;
  return config;
}

std::vector<float> weights_of(const Model& model, const TensorRow& row) {
  const StoredMatrix stored = stored_at(model.weights(), row);
  const int64_t columns = row.shape.back();
  std::vector<float> values(static_cast<size_t>(row.count()));
  for (int64_t r = 0; r < row.count() / columns; ++r)
    stored.read_row(r, columns, values.data() + r * columns);
  return values;
}

// By the papers' formulas in double: gamma = mean|W|, 0 below half of it (ternary); the sign of W - mean(W) (binary).
TEST(Rounding, PutsProjectionsToLevelsTimesTheirMean) {
  const Model model = synthetic_model(tiny(Family::kLlama), DType::kF16, 1);
  for (const WeightKind kind : {WeightKind::kTernary, WeightKind::kBinary}) {
    const Model rounded = rounded_model(model, kind);
    for (const TensorRow& row : model.table()) {
      const std::vector<float> before = weights_of(model, row), after = weights_of(rounded, row);
      if (row.role != TensorRole::kProjection) {
        EXPECT_EQ(before, after) << row.hf_name;
        continue;
      }
      double size = 0, mean = 0;
      for (const float w : before) {
        size += std::abs(static_cast<double>(w));
        mean += static_cast<double>(w);
      }
      size /= static_cast<double>(before.size());
      mean /= static_cast<double>(before.size());
      for (size_t i = 0; i < before.size(); ++i) {
        const double w = static_cast<double>(before[i]);
        const double level = kind == WeightKind::kBinary ? (w > mean ? 1 : -1)
                             : std::abs(w) > size / 2    ? std::copysign(1.0, w)
                                                         : 0.0;
        ASSERT_NEAR(static_cast<double>(after[i]), level * size, size * 1e-6) << row.hf_name;
      }
    }
  }
}

TEST(Rounding, RefusesWhatIsRoundedAlready) {
  const Model model = synthetic_model(tiny(Family::kBitNet), DType::kF16, 1);
  EXPECT_THROW(rounded_model(model, WeightKind::kTernary), Error);
}

}  // namespace
}  // namespace trit
