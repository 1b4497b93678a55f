#include "text/bpe.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

using Symbols = std::vector<int32_t>;

Symbols merged(const MergeTable& table, Symbols symbols) {
  WordMerger(table).merge(symbols);
  return symbols;
}

TEST(MergeTable, FindsWhatWasAdded) {
  MergeTable table(2);
  EXPECT_TRUE(table.add(1, 2, {0, 10}));
  EXPECT_TRUE(table.add(2, 1, {1, 11}));
  EXPECT_FALSE(table.add(1, 2, {2, 12}));
  ASSERT_NE(table.find(1, 2), nullptr);
  EXPECT_EQ(table.find(1, 2)->token, 10);
  EXPECT_EQ(table.find(2, 1)->rank, 1);
  EXPECT_EQ(table.find(2, 2), nullptr);
}

TEST(WordMerger, LowestRankFirstThenLeftmost) {
  MergeTable table(3);
  table.add(2, 3, {0, 23});    // b c
  table.add(1, 2, {1, 12});    // a b
  table.add(1, 23, {2, 123});  // a bc
  EXPECT_EQ(merged(table, {1, 2, 3}), (Symbols{123}));
  EXPECT_EQ(merged(table, {1, 2, 1, 2, 3, 3}), (Symbols{12, 123, 3}));
  EXPECT_EQ(merged(table, {}), Symbols{});
  EXPECT_EQ(merged(table, {1}), Symbols{1});
}

TEST(WordMerger, RunsMergeFromTheLeft) {
  MergeTable table(2);
  table.add(1, 1, {0, 2});
  EXPECT_EQ(merged(table, {1, 1, 1}), (Symbols{2, 1}));
  table.add(2, 2, {1, 4});
  EXPECT_EQ(merged(table, {1, 1, 1, 1, 1, 1, 1}), (Symbols{4, 2, 1}));
}

// 2^20 equal symbols and twenty levels of merges: minutes if it were quadratic.
TEST(WordMerger, LongWordsAreNoTrap) {
  constexpr int kLevels = 20;
  MergeTable table(kLevels);
  for (int32_t level = 0; level < kLevels; ++level) table.add(level, level, {level, level + 1});
  EXPECT_EQ(merged(table, Symbols(1 << kLevels, 0)), Symbols{kLevels});
}

}  // namespace
}  // namespace trit
