#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
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

// Largest first, of equal ones the smaller id: by sorting all.
std::vector<TokenLogit> largest(std::span<const float> logits, int64_t count) {
  std::vector<TokenLogit> all;
  for (size_t i = 0; i < logits.size(); ++i) all.push_back({logits[i], static_cast<int32_t>(i)});
  std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.logit > b.logit; });
  all.resize(std::min(all.size(), static_cast<size_t>(count)));
  return all;
}

TEST(Sampler, TheLargestLogitsAreEnough) {
  Rng rng(3);
  for (int run = 0; run < 400; ++run) {
    SamplerOptions o;
    o.temperature = run % 3 == 0 ? 0 : 1.5;
    o.top_k = 1 + static_cast<int64_t>(rng.below(40));
    o.repetition_penalty = run % 2 == 0 ? 1.0 : 1.7;
    o.repetition_window = static_cast<int64_t>(rng.below(30));
    o.seed = static_cast<uint64_t>(run);
    std::vector<float> logits(2000);
    for (float& l : logits) l = std::round(4 * rng.normal()) / 2;  // many are equal
    std::vector<int32_t> history(40);
    for (const int step : {0, 1, 2}) {
      // Mostly the best, which a penalty moves.
      const std::vector<TokenLogit> best = largest(logits, 60);
      for (auto& token : history) token = best[rng.below(best.size())].token;
      Sampler whole(o), part(o);
      ASSERT_GT(part.needed(), 0);
      const std::vector<TokenLogit> top = largest(logits, part.needed() + step);
      std::vector<float> copy = logits;
      ASSERT_EQ(whole.sample(copy, history), part.sample(top, history));
    }
  }
  SamplerOptions all = plain(), raises;
  raises.repetition_penalty = 0.9;
  EXPECT_EQ(Sampler(all).needed(), 0);
  EXPECT_EQ(Sampler(raises).needed(), 0);
  EXPECT_EQ(Sampler(SamplerOptions{}).needed(), 40);
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
