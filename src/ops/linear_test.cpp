#include "ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = rng.normal();
  return x;
}

// A BitLinear of given levels and scale, and the memory behind it.
struct BitLinear {
  BitLinear(const std::vector<int8_t>& levels, int64_t outputs, int64_t inputs, float scale)
      : packed(static_cast<size_t>(outputs * packed_row_bytes(inputs))) {
    pack_trits(levels, outputs, inputs, packed);
    layer.outputs = outputs;
    layer.inputs = inputs;
    layer.kind = WeightKind::kTernary;
    layer.packed = packed.data();
    layer.scale = scale;
  }
  Linear layer;
  std::vector<uint8_t> packed;
};

// By hand: x = (1, -2) has the step 2/127, so q = (64, -127) (63.5 ties to 64). Levels ((1, -1), (0, 1)), scale
// 1/2: the sums are 191 and -127. Straight through: dW = dy^T (q step), dx = dy (levels scale).
TEST(BitLinear, ForwardAndBackwardByHand) {
  const BitLinear bit({1, -1, 0, 1}, 2, 2, 0.5f);
  Workspace workspace;
  const std::vector<float> x = {1, -2}, dy = {3, 10};
  std::vector<float> y(2), dx = {100, 200}, dW(4, 0.0f);
  const LinearInput input = prepare_input(bit.layer, {x.data(), 1, 2}, workspace);
  linear_forward(bit.layer, input, {y.data(), 1, 2}, workspace);
  const float step = 2.0f / 127.0f;
  EXPECT_FLOAT_EQ(y[0], 191 * step / 2);
  EXPECT_FLOAT_EQ(y[1], -127 * step / 2);
  linear_backward(bit.layer, {x.data(), 1, 2}, {dy.data(), 1, 2}, {dx.data(), 1, 2}, dW.data(),
                  nullptr, workspace);
  EXPECT_FLOAT_EQ(dx[0], 100 + 3 * 0.5f);  // added to what was there
  EXPECT_FLOAT_EQ(dx[1], 200 - 3 * 0.5f + 10 * 0.5f);
  EXPECT_FLOAT_EQ(dW[0], 3 * 64 * step);
  EXPECT_FLOAT_EQ(dW[1], 3 * -127 * step);
  EXPECT_FLOAT_EQ(dW[3], 10 * -127 * step);
}

// Odd shapes, tiles and remainders, against sums in double.
TEST(BitLinear, EqualsTheDefinition) {
  for (const int64_t rows : {1, 7, 140}) {
    const int64_t inputs = 150, outputs = 77;
    Rng rng(3);
    std::vector<int8_t> levels(static_cast<size_t>(inputs * outputs));
    for (auto& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    const BitLinear bit(levels, outputs, inputs, 0.03f);
    const std::vector<float> x = random_floats(rows * inputs, 4);
    std::vector<float> y(static_cast<size_t>(rows * outputs));
    Workspace workspace;
    linear_forward(bit.layer, prepare_input(bit.layer, {x.data(), rows, inputs}, workspace),
                   {y.data(), rows, outputs}, workspace);
    for (int64_t t = 0; t < rows; ++t) {
      const auto value = [&](int64_t k) {
        return static_cast<double>(x[static_cast<size_t>(t * inputs + k)]);
      };
      double most = 0;
      for (int64_t k = 0; k < inputs; ++k) most = std::max(most, std::fabs(value(k)));
      for (int64_t o = 0; o < outputs; ++o) {
        double sum = 0;
        for (int64_t k = 0; k < inputs; ++k) {
          sum +=
              levels[static_cast<size_t>(o * inputs + k)] * std::nearbyint(value(k) * 127 / most);
        }
        const double expected = sum * most / 127 * static_cast<double>(0.03f);
        EXPECT_NEAR(y[static_cast<size_t>(t * outputs + o)], expected,
                    1e-6 * std::fabs(expected) + 1e-9);
      }
    }
  }
}

TEST(BitLinear, RefusesActivationsThatAreNotFinite) {
  const BitLinear bit({1, -1, 0, 1}, 2, 2, 0.5f);
  Workspace workspace;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> x = {1, 2, 3, bad};
    try {
      prepare_input(bit.layer, {x.data(), 2, 2}, workspace);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("row 1"), std::string::npos);
      EXPECT_EQ(error.code(), ExitCode::kFailure);
    }
  }
}

// The BLAS of training and the kernels of inference agree.
TEST(FloatLinear, BlasAndKernelsAgree) {
  const int64_t rows = 130, inputs = 90, outputs = 70;
  const std::vector<float> w = random_floats(outputs * inputs, 1),
                           x = random_floats(rows * inputs, 2);
  Linear layer;
  layer.outputs = outputs;
  layer.inputs = inputs;
  layer.dense.data = w.data();
  std::vector<float> y[2];
  for (const bool training : {false, true}) {
    Workspace workspace;
    workspace.training = training;
    y[training].resize(static_cast<size_t>(rows * outputs));
    linear_forward(layer, prepare_input(layer, {x.data(), rows, inputs}, workspace),
                   {y[training].data(), rows, outputs}, workspace);
  }
  for (size_t i = 0; i < y[0].size(); ++i) EXPECT_NEAR(y[0][i], y[1][i], 2e-5);
}

}  // namespace
}  // namespace trit
