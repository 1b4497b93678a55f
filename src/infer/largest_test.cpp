#include "infer/largest.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace trit {
namespace {

TEST(Largest, OrderOfCandidates) {
  EXPECT_TRUE(better({2, 9}, {1, 3}));
  EXPECT_TRUE(better({1, 3}, {1, 9}));
  EXPECT_FALSE(better({1, 3}, {1, 3}));
  EXPECT_TRUE(better({-0.0f, 3}, {0.0f, 9}));  // zeros are equal
}

TEST(Largest, IsTheBeginningOfTheSortedList) {
  Rng rng(5);
  for (int run = 0; run < 300; ++run) {
    std::vector<float> logits(1 + rng.below(3000));
    // Few values and many ties, or none.
    for (float& l : logits)
      l = static_cast<float>(run % 2 == 0 ? static_cast<double>(rng.below(7)) - 3 : rng.normal());
    std::vector<TokenLogit> sorted;
    for (size_t i = 0; i < logits.size(); ++i)
      sorted.push_back({logits[i], static_cast<int32_t>(i)});
    std::ranges::stable_sort(sorted, std::greater(), &TokenLogit::logit);
    const auto count = static_cast<int64_t>(1 + rng.below(run % 3 == 0 ? 4000 : 70));
    sorted.resize(std::min(sorted.size(), static_cast<size_t>(count)));
    std::vector<TokenLogit> found;
    find_largest(logits, count, found);
    std::ranges::sort(found, better);
    ASSERT_EQ(found, sorted) << run;
  }
}

}  // namespace
}  // namespace trit
