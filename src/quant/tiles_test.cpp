#include "quant/tiles.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

struct Shape2 {
  int64_t rows, columns;
};
constexpr Shape2 kShapes[] = {{1, 1},    {16, 16},  {17, 20},   {64, 128},
                              {65, 640}, {70, 100}, {130, 657}, {3, 1300}};

std::vector<int8_t> random_levels(const Shape2& shape) {
  Rng rng(static_cast<uint64_t>(shape.rows * 1000 + shape.columns));
  std::vector<int8_t> levels(static_cast<size_t>(shape.rows * shape.columns));
  for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
  return levels;
}

std::vector<uint8_t> tiles_of(TileForm form, const Shape2& shape,
                              const std::vector<int8_t>& levels) {
  std::vector<uint8_t> packed(static_cast<size_t>(shape.rows * packed_row_bytes(shape.columns)));
  pack_trits(levels, shape.rows, shape.columns, packed);
  std::vector<uint8_t> tiles(static_cast<size_t>(tiled_bytes(form, shape.rows, shape.columns)));
  tile_trits(form, packed, shape.rows, shape.columns, 0, tiles);
  return tiles;
}

int level_at(const Shape2& shape, const std::vector<int8_t>& levels, int64_t r, int64_t k) {
  return r < shape.rows && k < shape.columns ? levels[static_cast<size_t>(r * shape.columns + k)]
                                             : 0;
}

// Every place of every byte, as the header describes it.
TEST(Tiles, TwoBitBytesHoldWhatTheHeaderSays) {
  for (const Shape2& shape : kShapes) {
    const std::vector<int8_t> levels = random_levels(shape);
    const std::vector<uint8_t> tiles = tiles_of(TileForm::kTwoBit, shape, levels);
    const int64_t blocks = tile_blocks(TileForm::kTwoBit, shape.columns);
    ASSERT_EQ(tiles.size(), static_cast<size_t>((shape.rows + 15) / 16 * blocks * 64));
    for (size_t i = 0; i < tiles.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      const int64_t tile = at / (blocks * 64), block = at / 64 % blocks, byte = at % 64;
      for (int p = 0; p < 4; ++p) {
        const int64_t row = 16 * tile + byte / 4, input = 16 * block + 4 * p + byte % 4;
        ASSERT_EQ((tiles[i] >> (2 * p) & 3) - 1, level_at(shape, levels, row, input))
            << shape.rows << " x " << shape.columns << " row " << row << " input " << input;
      }
    }
  }
}

TEST(Tiles, Base3BytesHoldWhatTheHeaderSays) {
  for (const Shape2& shape : kShapes) {
    const std::vector<int8_t> levels = random_levels(shape);
    const std::vector<uint8_t> tiles = tiles_of(TileForm::kBase3, shape, levels);
    const int64_t blocks = (shape.columns + 19) / 20 * 4, bytes = blocks * 64 + 128;
    ASSERT_EQ(tiles.size(), static_cast<size_t>((shape.rows + 63) / 64 * bytes));
    for (int64_t row = 0; row < (shape.rows + 63) / 64 * 64; ++row) {
      const uint8_t* tile = tiles.data() + row / 64 * bytes;
      int negative = 0;
      for (int64_t block = 0; block < blocks; ++block) {
        int sum = 0;
        for (int64_t i = 0, power = 1; i < 5; ++i, power *= 3)
          sum += static_cast<int>(power) * level_at(shape, levels, row, 5 * block + i);
        negative += sum < 0;
        ASSERT_EQ(tile[block * 64 + row % 64], (sum < 0 ? 128 : 0) + std::abs(sum))
            << shape.rows << " x " << shape.columns << " row " << row << " block " << block;
      }
      const uint8_t* tail = tile + blocks * 64 + row % 64 * 2;
      EXPECT_EQ(tail[0] + 256 * tail[1], negative);
    }
  }
}

TEST(Tiles, PartOfAMatrixIsTheSameTiles) {
  const Shape2 shape{200, 300};
  const std::vector<int8_t> levels = random_levels(shape);
  std::vector<uint8_t> packed(static_cast<size_t>(shape.rows * packed_row_bytes(shape.columns)));
  pack_trits(levels, shape.rows, shape.columns, packed);
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    const std::vector<uint8_t> all = tiles_of(form, shape, levels);
    const auto bytes = static_cast<size_t>(tile_bytes(form, shape.columns));
    std::vector<uint8_t> part(2 * bytes);
    tile_trits(form, packed, shape.rows, shape.columns, 2, part);
    EXPECT_TRUE(
        std::equal(part.begin(), part.end(), all.begin() + static_cast<ptrdiff_t>(2 * bytes)));
  }
}

}  // namespace
}  // namespace trit
