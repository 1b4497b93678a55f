#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

Config small() {
  Config c = preset("nano");
  c.vocabulary = 100;
  c.layers = 1;
  return c;
}

std::vector<int32_t> tokens(size_t count) {
  Rng rng(1);
  std::vector<int32_t> ids(count);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(100));
  return ids;
}

// With an embedding of zeros every logit is equal, so the perplexity is the size of the vocabulary.
TEST(Perplexity, OfAModelThatKnowsNothingIsTheVocabulary) {
  Model model = Model::random(small(), 1);
  std::fill_n(model.masters().begin(), model.table()[0].count(), 0.0f);
  const PerplexityReport report = perplexity(model.weights(), tokens(333), 32);
  EXPECT_EQ(report.tokens, 332);  // all but the first
  EXPECT_NEAR(report.perplexity(), 100.0, 1e-3);
}

TEST(Perplexity, WindowsSeeOnlyThemselves) {
  const Model model = Model::random(small(), 2);
  const std::vector<int32_t> ids = tokens(81);
  const double whole = perplexity(model.weights(), ids, 40).nats;
  const double first = perplexity(model.weights(), std::span(ids).subspan(0, 41), 40).nats;
  const double second = perplexity(model.weights(), std::span(ids).subspan(40), 40).nats;
  EXPECT_NEAR(whole, first + second, 1e-4);
}

// Windows shorter and longer than a page and than a pass, on the engine's backend: the same but for the order in which
// the BLAS sums the head's products.
TEST(Perplexity, OfABackendIsTheSame) {
  Config c = small();
  c.context = 4096;
  const Model model = Model::random(c, 2);
  const std::vector<int32_t> ids = tokens(2500);
  for (const int64_t window : {7, 64, 300, 2400}) {
    Place place;
    int64_t told = 0;
    const PerplexityReport there = perplexity(place, model.weights(), KvType::kF32, ids, window,
                                              [&](int64_t done) { told = done; });
    const PerplexityReport here = perplexity(model.weights(), ids, window);
    EXPECT_NEAR(there.nats, here.nats, 1e-6 * here.nats) << window;
    EXPECT_EQ(there.tokens, 2499);
    EXPECT_EQ(told, 2499);
  }
}

TEST(Perplexity, OfRoundedKeysAndValuesIsNear) {
  const Model model = Model::random(small(), 2);
  const std::vector<int32_t> ids = tokens(200);
  const double exact = perplexity(model.weights(), ids, 50).loss();
  Place place;
  const double rounded = perplexity(place, model.weights(), KvType::kInt8, ids, 50).loss();
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.05);
}

TEST(Perplexity, NeedsTwoTokens) {
  const Model model = Model::random(small(), 2);
  EXPECT_THROW(perplexity(model.weights(), tokens(1), 8), Error);
  Place place;
  EXPECT_THROW(perplexity(place, model.weights(), KvType::kF32, tokens(1), 8), Error);
}

}  // namespace
}  // namespace trit
