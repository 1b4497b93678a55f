#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

SamplerOptions plain() {
  SamplerOptions o;
  o.temperature = 1.0;
  o.top_k = 0;
  o.top_p = 1.0;
  o.min_p = 0.0;
  return o;
}

// Logits whose probabilities are 1/2, 1/4, 1/8, 1/8.
std::vector<float> halves() {
  return {std::log(0.125f), std::log(0.5f), std::log(0.25f), std::log(0.125f)};
}

std::map<int32_t, double> frequencies(const SamplerOptions& options) {
  constexpr int kDraws = 20000;
  Sampler sampler(options);
  std::map<int32_t, double> share;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> logits = halves();
    share[sampler.sample(logits, {})] += 1.0 / kDraws;
  }
  return share;
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  SamplerOptions o = plain();
  o.temperature = 0;
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(Sampler(o).sample(logits, {}), 1);
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheSoftmax) {
  const auto share = frequencies(plain());
  EXPECT_NEAR(share.at(1), 0.5, 0.015);
  EXPECT_NEAR(share.at(2), 0.25, 0.015);
  EXPECT_NEAR(share.at(0), 0.125, 0.015);
  EXPECT_NEAR(share.at(3), 0.125, 0.015);
}

// p^(1/T) with T = 1/2: 1/4, 1/16, 1/64, 1/64 of a sum of 11/32.
TEST(Sampler, TemperatureSharpens) {
  SamplerOptions o = plain();
  o.temperature = 0.5;
  EXPECT_NEAR(frequencies(o).at(1), 8.0 / 11, 0.015);
}

TEST(Sampler, FiltersKeepWhatTheySay) {
  SamplerOptions o = plain();
  o.top_k = 2;
  auto share = frequencies(o);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(1), 2.0 / 3, 0.015);
  o = plain();
  o.top_k = 3;  // tokens 0 and 3 tie for the third place: the smaller id stays
  share = frequencies(o);
  EXPECT_EQ(share.count(0), 1u);
  EXPECT_EQ(share.count(3), 0u);
  o = plain();
  o.top_p = 0.6;  // 1/2 does not reach it, 1/2 + 1/4 does
  share = frequencies(o);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(2), 1.0 / 3, 0.015);
  o = plain();
  o.min_p = 0.3;  // 1/8 is a quarter of the best
  EXPECT_EQ(frequencies(o).size(), 2u);
}

TEST(Sampler, RepetitionPenaltyWeighsRecentTokens) {
  SamplerOptions o = plain();
  o.temperature = 0;
  o.repetition_penalty = 2;
  o.repetition_window = 2;
  const std::vector<int32_t> history = {0, 1, 2};
  std::vector<float> logits = {5, 4, -1, 1.9f};
  EXPECT_EQ(Sampler(o).sample(logits, history), 0);  // token 0 is out of the window
  EXPECT_EQ(logits,
            (std::vector<float>{5, 2, -2, 1.9f}));  // divided when positive, else multiplied
}

TEST(Sampler, TheSeedDecides) {
  SamplerOptions o = plain();
  const auto draw = [&](uint64_t seed) {
    o.seed = seed;
    Sampler sampler(o);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) {
      std::vector<float> logits = halves();
      tokens.push_back(sampler.sample(logits, {}));
    }
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  const auto refused = [](auto change) {
    SamplerOptions o = plain();
    change(o);
    EXPECT_THROW(Sampler{o}, Error);
  };
  refused([](SamplerOptions& o) { o.temperature = -0.1; });
  refused([](SamplerOptions& o) { o.temperature = std::nan(""); });
  refused([](SamplerOptions& o) { o.top_k = -1; });
  refused([](SamplerOptions& o) { o.top_p = 0; });
  refused([](SamplerOptions& o) { o.top_p = 1.1; });
  refused([](SamplerOptions& o) { o.min_p = 1.1; });
  refused([](SamplerOptions& o) { o.repetition_penalty = 0; });
  refused([](SamplerOptions& o) { o.repetition_window = -1; });
}

}  // namespace
}  // namespace trit
