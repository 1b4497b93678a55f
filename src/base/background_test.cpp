#include "base/background.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace trit {
namespace {

TEST(Background, WorksInOrderBehindItsOwner) {
  Background background;
  std::vector<int> done;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) background.run([&done, i] { done.push_back(i); });
    background.wait();
    EXPECT_EQ(done.size(), 100U * static_cast<size_t>(round + 1));
    EXPECT_EQ(done.back(), 99);
  }
}

TEST(Background, HandsTheFirstErrorOverAndLeavesTheRestOut) {
  Background background;
  int after = 0;
  background.run([] { throw std::runtime_error("first"); });
  background.run([&] { ++after; });
  EXPECT_THROW(background.wait(), std::runtime_error);
  EXPECT_EQ(after, 0);
  background.run([&] { ++after; });
  background.wait();
  EXPECT_EQ(after, 1);
}

TEST(Background, DoesWhatItWasGivenBeforeItEnds) {
  int done = 0;
  {
    Background background;
    for (int i = 0; i < 10; ++i) background.run([&] { ++done; });
  }
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace trit
