#include "train/shares.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

// Embedding of 3 x 16,384 + 16 elements; two layers of a norm of 16 and a matrix of 5 x 16,384; a last norm.
std::vector<TensorRow> table() {
  std::vector<TensorRow> rows;
  int64_t offset = 0;
  const auto add = [&](TensorRole role, int layer, int64_t count) {
    rows.push_back({"", "", {count}, role, layer, Projection::kQ, offset});
    offset += (count + 15) / 16 * 16;
  };
  add(TensorRole::kEmbedding, -1, 3 * 16384 + 16);
  for (int layer : {0, 1}) {
    add(TensorRole::kNorm, layer, 10);
    add(TensorRole::kProjection, layer, 5 * 16384);
  }
  add(TensorRole::kNorm, -1, 10);
  return rows;
}

TEST(Shares, CutBucketsWhereBlocksBegin) {
  const Shares two(table(), 2);
  EXPECT_EQ(two.buckets(), 4);
  // Of 49,168 elements half is 24,584: 16,384 is as near as 32,768 (8,200 to 8,184): the latter is nearer.
  EXPECT_EQ(two.part(0, 0).begin, 0);
  EXPECT_EQ(two.part(0, 0).end, 32768);
  EXPECT_EQ(two.part(0, 1).end, 49168);
  // A layer: 16 + 81,920; half is 40,968. Blocks begin at 16 + 32,768 and 16 + 49,152: 8,184 against 8,200.
  EXPECT_EQ(two.part(1, 0).begin, 49168);
  EXPECT_EQ(two.part(1, 0).end, 49168 + 16 + 32768);
  EXPECT_EQ(two.part(1, 1).end, 49168 + 16 + 81920);
  EXPECT_EQ(two.part(2, 1).end, two.part(3, 0).begin);
  // The last norm is one block: somebody has it whole.
  EXPECT_EQ(two.sizes(3)[0] + two.sizes(3)[1], 16);
  EXPECT_EQ(two.size(0) + two.size(1), flat_size(table()));
}

TEST(Shares, CoverEverythingOnceWhateverTheNumberOfRanks) {
  const auto rows = table();
  for (const int ranks : {1, 2, 3, 5, 64}) {
    const Shares shares(rows, ranks);
    int64_t at = 0, blocks = 0;
    for (int b = 0; b < shares.buckets(); ++b) {
      for (int r = 0; r < ranks; ++r) {
        EXPECT_EQ(shares.part(b, r).begin, at);
        at = shares.part(b, r).end;
        for_blocks(rows, shares.part(b, r), [&](size_t row, Stretch block) {
          EXPECT_EQ((block.begin - rows[row].offset) % kSumBlock, 0);
          EXPECT_TRUE(block.size() == kSumBlock ||
                      block.end == rows[row].offset + rows[row].count());
          ++blocks;
        });
      }
    }
    EXPECT_EQ(at, flat_size(rows));
    EXPECT_EQ(blocks, 4 + 2 * (1 + 5) + 1);
  }
}

}  // namespace
}  // namespace trit
