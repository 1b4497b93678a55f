#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

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

// One merge after the other by its definition, for words below and above the length at which the
// method changes.
TEST(WordMerger, EqualsTheDefinition) {
  Rng rng(5);
  std::map<std::pair<int32_t, int32_t>, Merge> merges;
  MergeTable table(60);
  for (int32_t i = 0; i < 60; ++i) {
    const auto left = static_cast<int32_t>(rng.below(12)),
               right = static_cast<int32_t>(rng.below(12));
    const Merge merge{i / 2, static_cast<int32_t>(rng.below(12))};  // ranks occur twice
    if (table.add(left, right, merge)) merges[{left, right}] = merge;
  }
  const auto define = [&](Symbols symbols) {
    while (true) {
      const Merge* best = nullptr;
      size_t place = 0;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto found = merges.find({symbols[i], symbols[i + 1]});
        if (found == merges.end() || (best != nullptr && found->second.rank >= best->rank))
          continue;
        best = &found->second;
        place = i;
      }
      if (best == nullptr) return symbols;
      symbols[place] = best->token;
      symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(place) + 1);
    }
  };
  for (size_t i = 0; i < 3000; ++i) {
    Symbols symbols(i % 70);
    for (int32_t& symbol : symbols) symbol = static_cast<int32_t>(rng.below(12));
    ASSERT_EQ(merged(table, symbols), define(symbols));
  }
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
