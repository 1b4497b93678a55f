#include "bench/statistics.h"

#include <gtest/gtest.h>

namespace trit::bench {
namespace {

TEST(Statistics, ByHand) {
  // Sorted 1 2 4 7 11: median 4; distances 3 2 0 3 7, sorted 0 2 3 3 7: spread 3; mean 5; squares
  // 16 + 9 + 1 + 4 + 36 = 66, over 4.
  const Statistics s = statistics({4, 11, 1, 7, 2});
  EXPECT_DOUBLE_EQ(s.median, 4);
  EXPECT_DOUBLE_EQ(s.spread, 3);
  EXPECT_DOUBLE_EQ(s.least, 1);
  EXPECT_DOUBLE_EQ(s.largest, 11);
  EXPECT_DOUBLE_EQ(s.mean, 5);
  EXPECT_NEAR(s.deviation, 4.0620192, 1e-7);
  EXPECT_EQ(s.samples, 5);
}

TEST(Statistics, AnEvenCountTakesTheMiddleOfTwo) {
  const Statistics s = statistics({3, 1, 10, 2});  // median 2.5; distances 0.5 0.5 1.5 7.5
  EXPECT_DOUBLE_EQ(s.median, 2.5);
  EXPECT_DOUBLE_EQ(s.spread, 1.0);
}

TEST(Statistics, OneValueSpreadsByNothing) {
  const Statistics s = statistics({7});
  EXPECT_DOUBLE_EQ(s.median, 7);
  EXPECT_DOUBLE_EQ(s.spread, 0);
  EXPECT_DOUBLE_EQ(s.deviation, 0);
}

TEST(Statistics, RatesAreWorkOverTime) {
  const Statistics s = rates(10, {1, 2, 5});  // 10, 5, 2
  EXPECT_DOUBLE_EQ(s.median, 5);
  EXPECT_DOUBLE_EQ(s.spread, 3);
}

}  // namespace
}  // namespace trit::bench
