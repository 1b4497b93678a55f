#include "quant/mma_tiles.h"

#include <cstring>

#include "base/error.h"
#include "quant/packing.h"

namespace trit {
namespace {

static_assert(kMmaInputs == kRun, "a block's inputs are one run of the canonical packing");

constexpr uint32_t kZeros = 0x55555555U;  // sixteen codes of level 0

// A row's part of a block: word i of the lanes of group g for i = half, half + 2.
void place_run(const uint8_t* run, int64_t row_in_tile, uint8_t* block) {
  const int64_t g = row_in_tile % 8, half = row_in_tile / 8;
  for (int64_t t = 0; t < 4; ++t) {
    for (int64_t upper = 0; upper < 2; ++upper) {
      uint8_t* word = block + 16 * (4 * g + t) + 4 * (half + 2 * upper);
      if (run != nullptr)
        std::memcpy(word, run + 16 * upper + 4 * t, sizeof kZeros);
      else
        std::memcpy(word, &kZeros, sizeof kZeros);
    }
  }
}

}  // namespace

void mma_tile_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns, uint8_t* out,
                    int64_t tile_stride) {
  const int64_t row_bytes = packed_row_bytes(columns), blocks = mma_blocks(columns);
  TRIT_CHECK(std::ssize(packed) == rows * row_bytes);
  for (int64_t row = 0; row < mma_tiles(rows) * kMmaRows; ++row) {
    uint8_t* tile = out + row / kMmaRows * tile_stride;
    for (int64_t b = 0; b < blocks; ++b) {
      const uint8_t* run = row < rows ? packed.data() + row * row_bytes + b * kRunBytes : nullptr;
      place_run(run, row % kMmaRows, tile + b * kMmaBlockBytes);
    }
  }
}

}  // namespace trit
