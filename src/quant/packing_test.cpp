#include "quant/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace trit {
namespace {

std::vector<int8_t> random_levels(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<int8_t> levels(static_cast<size_t>(count));
  for (auto& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
  return levels;
}

// The bytes below are worked out by hand from the layout; they must never change.
TEST(Packing, KnownBytes) {
  std::vector<int8_t> row(128, 0);
  row[0] = 1;     // byte 0 bits 0-1: code 2
  row[32] = -1;   // byte 0 bits 2-3: code 0
  row[95] = 1;    // byte 31 bits 4-5: code 2
  row[127] = -1;  // byte 31 bits 6-7: code 0
  std::vector<uint8_t> packed(32);
  pack_trits(row, 1, 128, packed);
  EXPECT_EQ(packed[0], 0b01'01'00'10);
  EXPECT_EQ(packed[1], 0b01'01'01'01);
  EXPECT_EQ(packed[31], 0b00'10'01'01);
}

TEST(Packing, RoundTripsRowsThatAreNoMultipleOfAnything) {
  for (const int64_t columns : {1, 3, 31, 32, 100, 127, 128, 129, 200, 257, 688}) {
    const int64_t rows = 5;
    const auto levels = random_levels(rows * columns, static_cast<uint64_t>(columns));
    std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns)));
    pack_trits(levels, rows, columns, packed);
    std::vector<int8_t> back(levels.size());
    unpack_trits(packed, rows, columns, back, "w");
    EXPECT_EQ(back, levels) << columns;
    std::vector<float> weights(levels.size());
    dequantize_trits(packed, rows, columns, 0.5f, weights.data());
    for (size_t i = 0; i < levels.size(); ++i) ASSERT_EQ(weights[i], 0.5f * levels[i]);

    const TritCounts counts = count_trits(packed, rows, columns);
    EXPECT_EQ(counts.minus, std::ranges::count(levels, -1));
    EXPECT_EQ(counts.zero, std::ranges::count(levels, 0));
    EXPECT_EQ(counts.plus, std::ranges::count(levels, 1));
    EXPECT_EQ(counts.invalid, 0);
  }
}

TEST(Packing, RefusesCodeThreeAndDirtyFilling) {
  std::vector<int8_t> levels(100), back(100);
  std::vector<uint8_t> packed(32);
  pack_trits(levels, 1, 100, packed);
  EXPECT_TRUE(valid_trits(packed, 1, 100));
  auto broken = packed;
  broken[7] |= 3;
  EXPECT_FALSE(valid_trits(broken, 1, 100));
  EXPECT_THROW(unpack_trits(broken, 1, 100, back, "w"), Error);
  EXPECT_EQ(count_trits(broken, 1, 100).invalid, 1);
  broken = packed;
  broken[31] =
      static_cast<uint8_t>(broken[31] & 0x3F);  // element 127, past the end, becomes code 0
  EXPECT_THROW(unpack_trits(broken, 1, 100, back, "w"), Error);
  EXPECT_EQ(count_trits(broken, 1, 100).invalid, 1);
  EXPECT_EQ(count_trits(broken, 1, 100).minus, 0);
  EXPECT_FALSE(valid_trits(broken, 1, 100));
}

TEST(Packing, CountsFlips) {
  auto levels = random_levels(300, 9);
  std::vector<uint8_t> before(96), after(96);
  pack_trits(levels, 1, 300, before);
  for (const size_t i : {0u, 5u, 131u, 299u})
    levels[i] = static_cast<int8_t>(levels[i] == 1 ? -1 : levels[i] + 1);
  pack_trits(levels, 1, 300, after);
  EXPECT_EQ(count_flips(before, after), 4);
  EXPECT_EQ(count_flips(after, after), 0);
}

}  // namespace
}  // namespace trit
