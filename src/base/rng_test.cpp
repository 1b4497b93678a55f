#include "base/rng.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

// First output of the authors' splitmix64.c for the seed 0 is 0xE220A8397B1DCDAF.
TEST(SplitMix64, PublishedValue) { EXPECT_EQ(splitmix64(0), 0xE220A8397B1DCDAFu); }

// xoshiro256starstar.c from the state {1, 2, 3, 4}, as rand_xoshiro's tests have it.
TEST(Rng, PublishedSequence) {
  Rng rng(0);
  rng.set_state({1, 2, 3, 4});
  for (const uint64_t expected :
       {uint64_t{11520}, uint64_t{0}, uint64_t{1509978240}, uint64_t{1215971899390074240}}) {
    EXPECT_EQ(rng.next(), expected);
  }
}

TEST(Rng, StateResumes) {
  Rng rng(7), other(8);
  rng.normal();
  other.set_state(rng.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.next(), other.next());
}

TEST(Rng, Distributions) {
  Rng rng(1);
  double sum = 0, squares = 0;
  int counts[6] = {};
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) {
    const double uniform = rng.uniform();
    ASSERT_TRUE(uniform >= 0 && uniform < 1);
    const float normal = rng.normal();
    sum += normal;
    squares += normal * normal;
    ++counts[rng.below(6)];
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.03);
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 6.0, 400);
  EXPECT_EQ(rng.below(1), 0u);
}

}  // namespace
}  // namespace trit
