#include "eval/few_shot.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

using Numbers = std::vector<int64_t>;

// All values are CPython 3.11's random.Random's.
TEST(PythonRandom, GivesPythonsBits) {
  PythonRandom random(1234);
  EXPECT_EQ(random.next(), 4150886329u);
  EXPECT_EQ(random.next(), 3342196574u);
  EXPECT_EQ(random.next(), 1892932127u);
  EXPECT_EQ(random.next(), 501869158u);
  for (int i = 4; i < 999; ++i) random.next();
  EXPECT_EQ(random.next(), 3677914080u);  // behind the state's first round
  EXPECT_EQ(PythonRandom((uint64_t{1} << 40) + 5).next(), 2166296868u);  // a seed of two words
}

TEST(PythonRandom, SamplesAsPythonDoes) {
  PythonRandom random(1234);
  for (int i = 0; i < 4; ++i) random.next();
  EXPECT_EQ(random.sample(10, 3), (Numbers{0, 1, 9}));  // out of a pool
  EXPECT_EQ(random.sample(1000, 5), (Numbers{687, 709, 85, 100, 784}));
  EXPECT_EQ(random.sample(300, 8), (Numbers{181, 121, 8, 15, 177, 247, 237, 76}));
  EXPECT_EQ(random.sample(5, 0), Numbers{});
}

}  // namespace
}  // namespace trit
