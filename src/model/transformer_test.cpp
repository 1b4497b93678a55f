#include "model/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

Config tiny(WeightKind weights, NormForm norms, Activation activation, bool tied) {
  Config config;
  config.vocabulary = 50;
  config.hidden = 24;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 6;
  config.ffn = 40;
  config.context = 64;
  config.weights = weights;
  config.norms = norms;
  config.activation = activation;
  config.tied = tied;
  return config;
}

constexpr int64_t kSequences = 4, kPositions = 64;

State make_state(const Config& config, int64_t rows, Pass pass) {
  return State(config, pass, kSequences, kPositions, rows);
}

std::vector<int32_t> random_tokens(int64_t count, int64_t vocabulary, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (auto& t : tokens) t = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  return tokens;
}

struct GradientCase {
  NormForm norms;
  Activation activation;
  bool tied;
  bool qk_norms = false;
};

class GradientTest : public testing::TestWithParam<GradientCase> {};

// With the quantisers switched to identity (float weights in each form's layout) the loss is smooth,
// and the gradient of every tensor must equal the slope of the loss along random directions.
TEST_P(GradientTest, EqualsFiniteDifferences) {
  const auto [norms, activation, tied, qk_norms] = GetParam();
  Config config = tiny(WeightKind::kFloat, norms, activation, tied);
  config.qk_norms = qk_norms;
  Model model = Model::random(config, 3);
  Rng rng(4);
  // Away from the initial point: weights large enough that every path carries a gradient.
  for (float& p : model.masters()) p += 0.15f * rng.normal();

  const int64_t B = 2, T = 9, N = B * T;
  const auto tokens = random_tokens(N, config.vocabulary, 5),
             targets = random_tokens(N, config.vocabulary, 6);
  State run = make_state(config, N, Pass::kTraining);
  std::vector<float> losses(static_cast<size_t>(N));
  const auto loss = [&] {
    Gradients unused(config);
    forward_backward(model.weights(), B, tokens, targets, 1.0f / static_cast<float>(N), run, unused,
                     losses);
    double total = 0;
    for (const float l : losses) total += static_cast<double>(l);
    return total / static_cast<double>(N);
  };
  Gradients gradients(config);
  forward_backward(model.weights(), B, tokens, targets, 1.0f / static_cast<float>(N), run,
                   gradients, losses);

  for (const TensorRow& row : model.table()) {
    const auto size = static_cast<size_t>(row.count());
    float* parameter = model.masters().data() + row.offset;
    const float* gradient = gradients.flat().data() + row.offset;
    double norm = 0;
    for (size_t i = 0; i < size; ++i)
      norm += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 1e-4) << row.hf_name;
    // Half along the gradient, so that the slope is large; half at random, so that a wrong direction shows.
    std::vector<double> direction(size);
    double slope = 0;
    for (size_t i = 0; i < size; ++i) {
      direction[i] = static_cast<double>(gradient[i]) / norm +
                     static_cast<double>(rng.normal()) / std::sqrt(static_cast<double>(size));
      slope += direction[i] * static_cast<double>(gradient[i]);
    }
    const std::vector<float> before(parameter, parameter + size);
    const double h = std::min(2e-2, 4e-3 / norm);
    const auto at = [&](double step) {
      for (size_t i = 0; i < size; ++i)
        parameter[i] = static_cast<float>(static_cast<double>(before[i]) + step * direction[i]);
      return loss();
    };
    const double difference = (at(h) - at(-h)) / (2 * h);
    std::memcpy(parameter, before.data(), size * sizeof(float));
    EXPECT_NEAR(difference, slope, 5e-3 * std::fabs(slope) + 2e-5) << row.hf_name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, GradientTest,
    testing::Values(GradientCase{NormForm::kBlock, Activation::kSilu, false},
                    GradientCase{NormForm::kBlock, Activation::kSilu, false, true},
                    GradientCase{NormForm::kBlockInner, Activation::kSilu, true},
                    GradientCase{NormForm::kInner, Activation::kSilu, true},
                    GradientCase{NormForm::kInnerPlain, Activation::kSilu, false},
                    GradientCase{NormForm::kSub, Activation::kRelu2, true}));

class FormTest : public testing::TestWithParam<Config> {};

// Token by token, in pieces, in one piece, and in training: the same logits. Everything below the
// head agrees bit for bit; the head too, except for the BLAS that training uses there.
TEST_P(FormTest, PrefillDecodeAndTrainingAgree) {
  const Config config = GetParam();
  const Model model = Model::random(config, 7);
  const int64_t T = 37;
  const auto tokens = random_tokens(T, config.vocabulary, 8);
  const auto slots = whole_sequences(1, T);
  const auto run_in_pieces = [&](std::initializer_list<size_t> pieces) {
    State run = make_state(config, T, Pass::kContinue);
    std::vector<float> result;
    size_t begin = 0;
    for (const size_t piece : pieces) {
      const std::span all(tokens);
      forward(model.weights(), {all.subspan(begin, piece), std::span(slots).subspan(begin, piece)},
              run);
      begin += piece;
    }
    const int64_t last = run.rows() - 1;
    result.resize(static_cast<size_t>(config.vocabulary + config.hidden));
    std::copy_n(run.hidden.row(last), config.hidden, result.begin() + config.vocabulary);
    logits(model.weights(), run, last, {result.data(), 1, config.vocabulary});
    return result;
  };
  const std::vector<float> whole = run_in_pieces({37});
  EXPECT_EQ(run_in_pieces({20, 1, 1, 15}), whole);
  EXPECT_EQ(run_in_pieces({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}),
            whole);

  State training = make_state(config, T, Pass::kTraining);
  forward(model.weights(), {tokens, slots}, training);
  std::vector<float> trained(static_cast<size_t>(config.vocabulary));
  logits(model.weights(), training, T - 1, {trained.data(), 1, config.vocabulary});
  if (config.weights != WeightKind::kFloat) {
    EXPECT_TRUE(
        std::equal(whole.begin() + config.vocabulary, whole.end(), training.hidden.row(T - 1)));
  }
  const auto [low, high] = std::minmax_element(trained.begin(), trained.end());
  for (size_t v = 0; v < trained.size(); ++v)
    EXPECT_NEAR(whole[v], trained[v], 1e-5 * (*high - *low));
}

// Sequences beside each other do not see each other.
TEST_P(FormTest, SequencesOfABatchAreIndependent) {
  const Config config = GetParam();
  const Model model = Model::random(config, 9);
  const int64_t T = 11;
  const auto tokens = random_tokens(3 * T, config.vocabulary, 10);
  State together = make_state(config, 3 * T, Pass::kContinue);
  forward(model.weights(), {tokens, whole_sequences(3, T)}, together);
  for (size_t b = 0; b < 3; ++b) {
    State alone = make_state(config, T, Pass::kContinue);
    forward(model.weights(), {std::span(tokens).subspan(b * T, T), whole_sequences(1, T)}, alone);
    const float* row = together.hidden.row(static_cast<int64_t>(b * T));
    EXPECT_TRUE(std::equal(row, row + T * config.hidden, alone.hidden.data));
  }
}

// So many rows that layers take them in pieces, which end inside of sequences: the bits of every row are those of
// each sequence alone.
TEST_P(FormTest, ManyRowsEqualTheSequencesAlone) {
  const Config config = GetParam();
  const Model model = Model::random(config, 11);
  const int64_t T = 47, B = 9;
  const auto tokens = random_tokens(B * T, config.vocabulary, 12);
  State together(config, Pass::kContinue, B, T, B * T);
  forward(model.weights(), {tokens, whole_sequences(B, T)}, together);
  for (size_t b = 0; b < B; ++b) {
    State alone = make_state(config, T, Pass::kContinue);
    forward(model.weights(), {std::span(tokens).subspan(b * T, T), whole_sequences(1, T)}, alone);
    const float* row = together.hidden.row(static_cast<int64_t>(b * T));
    EXPECT_TRUE(std::equal(row, row + T * config.hidden, alone.hidden.data));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, FormTest,
    testing::Values(tiny(WeightKind::kTernary, NormForm::kInner, Activation::kSilu, false),
                    tiny(WeightKind::kTernary, NormForm::kSub, Activation::kRelu2, true),
                    tiny(WeightKind::kBinary, NormForm::kInnerPlain, Activation::kSilu, true),
                    tiny(WeightKind::kFloat, NormForm::kBlock, Activation::kSilu, false)));

TEST(Forward, RefusesTokensOutsideTheVocabulary) {
  const Config config = tiny(WeightKind::kTernary, NormForm::kSub, Activation::kSilu, true);
  const Model model = Model::random(config, 1);
  State run = make_state(config, 2, Pass::kContinue);
  const std::vector<int32_t> tokens = {3, 50};
  EXPECT_THROW(forward(model.weights(), {tokens, whole_sequences(1, 2)}, run), Error);
}

}  // namespace
}  // namespace trit
