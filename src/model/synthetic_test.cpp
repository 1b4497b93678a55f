#include "model/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/thread_pool.h"
#include "model/summary.h"

namespace trit {
namespace {

// Parameter counts as the model cards and reports give them.
TEST(Synthetic, PublishedShapesHaveTheirPublishedSizes) {
  const Config& two = published_model("microsoft/bitnet-b1.58-2B-4T").config;
  EXPECT_EQ(two.linear_parameters(), 2'084'044'800);
  EXPECT_EQ(two.vocabulary * two.hidden, 328'335'360);
  EXPECT_NEAR(static_cast<double>(
                  published_model("HF1BitLLM/Llama3-8B-1.58-100B-tokens").config.parameters()),
              8.03e9, 0.01e9);
  EXPECT_NEAR(
      static_cast<double>(published_model("prism-ml/Ternary-Bonsai-8B").config.parameters()),
      8.19e9, 0.01e9);
  EXPECT_THROW(published_model("nobody/nothing"), std::exception);
}

// A shape whose rows end inside a run: half the levels are zero, a quarter each of the others, the same for
// every number of threads and another for another seed.
TEST(Synthetic, LevelsAreDrawnAsPromised) {
  Config config = preset("nano");
  config.vocabulary = 50;
  config.hidden = 320;
  config.heads = 5;
  config.kv_heads = 5;
  config.head_dim = 64;
  config.ffn = 450;
  const Model model = synthetic_model(config, DType::kBF16, 7);
  int64_t weights = 0, zeros = 0, plus = 0;
  for (const MatrixSummary& m : summarize(model)) {
    EXPECT_EQ(m.counts.invalid, 0);
    weights += m.weights();
    zeros += m.counts.zero;
    plus += m.counts.plus;
  }
  EXPECT_EQ(weights, config.linear_parameters());
  const double n = static_cast<double>(weights), deviation = std::sqrt(n) / 2;
  EXPECT_NEAR(static_cast<double>(zeros), n / 2, 5 * deviation);
  EXPECT_NEAR(static_cast<double>(plus), n / 4, 5 * deviation);

  const auto first_bytes = [](const Model& m) {
    const Linear& layer = m.weights().layers[1][Projection::kDown];
    return std::vector<uint8_t>(layer.packed,
                                layer.packed + layer.outputs * packed_row_bytes(layer.inputs));
  };
  const int threads = thread_count();
  set_thread_count(1);
  EXPECT_EQ(first_bytes(synthetic_model(config, DType::kBF16, 7)), first_bytes(model));
  set_thread_count(threads);
  EXPECT_NE(first_bytes(synthetic_model(config, DType::kBF16, 8)), first_bytes(model));
}

}  // namespace
}  // namespace trit
