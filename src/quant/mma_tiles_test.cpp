#include "quant/mma_tiles.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

// Registers a0..a3 of mma.m16n8k32 as the PTX ISA gives them for 8-bit integers: lane l, byte b of register i is
// row l / 4 (i even) or l / 4 + 8, column 4 (l % 4) + b (i < 2) or 16 more.
TEST(MmaTiles, ShiftsAndMasksGiveTheRegistersOfTheInstruction) {
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{16, 128}, {20, 300}, {1, 5}, {48, 640}}) {
    Rng rng(static_cast<uint64_t>(rows * 1000 + columns));
    std::vector<int8_t> levels(static_cast<size_t>(rows * columns));
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns)));
    pack_trits(levels, rows, columns, packed);

    // Every other tile of a larger matrix.
    const int64_t stride = 2 * mma_tile_bytes(columns);
    std::vector<uint8_t> tiles(static_cast<size_t>(mma_tiles(rows) * stride), 0xFF);
    mma_tile_trits(packed, rows, columns, tiles.data(), stride);

    for (int64_t tile = 0; tile < mma_tiles(rows); ++tile) {
      for (int64_t block = 0; block < (columns + 127) / 128; ++block) {
        for (int lane = 0; lane < 32; ++lane) {
          for (int step = 0; step < 4; ++step) {
            for (int i = 0; i < 4; ++i) {
              uint32_t word = 0;
              std::memcpy(&word, tiles.data() + tile * stride + block * 512 + 16 * lane + 4 * i, 4);
              const uint32_t a = word >> (2 * step) & 0x03030303U;
              for (int b = 0; b < 4; ++b) {
                const int64_t row = 16 * tile + lane / 4 + (i % 2 == 0 ? 0 : 8);
                const int64_t k = 128 * block + 32 * step + 4 * (lane % 4) + b + (i < 2 ? 0 : 16);
                const int level =
                    row < rows && k < columns ? levels[static_cast<size_t>(row * columns + k)] : 0;
                ASSERT_EQ(static_cast<int>(a >> (8 * b) & 0xFF) - 1, level) << row << ", " << k;
              }
            }
          }
        }
      }
    }
    // Between them nothing is written.
    EXPECT_EQ(tiles[static_cast<size_t>(mma_tile_bytes(columns))], 0xFF);
  }
}

}  // namespace
}  // namespace trit
