#include "quant/tiles.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr uint8_t kZeros = 0x55;  // four codes of level 0

// ---- Two bits a weight ----

uint64_t load_word(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Plane q of 16 bytes of a run is a block's 16 inputs of a row: four neighbours go into one bit place of the
// lane's bytes, the next four into the next.
uint32_t lane_of(uint64_t low, uint64_t high, int q) {
  constexpr uint64_t kCode = 0x0303030303030303u;
  const uint64_t two = (low >> (2 * q) & kCode) | (high >> (2 * q) & kCode) << 4;
  return static_cast<uint32_t>(two) | static_cast<uint32_t>(two >> 32) << 2;
}

void two_bit_row(const uint8_t* packed, int64_t blocks, uint8_t* lane) {
  for (int64_t j = 0; j < blocks; ++j, lane += kBlockBytes) {
    const uint8_t* half = packed + j / 8 * kRunBytes + j % 2 * 16;
    const uint32_t codes =
        lane_of(load_word(half), load_word(half + 8), static_cast<int>(j % 8 / 2));
    std::memcpy(lane, &codes, sizeof codes);
  }
}

void two_bit_tile(const uint8_t* packed, int64_t rows, int64_t columns, uint8_t* tile) {
  const int64_t blocks = tile_blocks(TileForm::kTwoBit, columns);
  for (int64_t r = 0; r < rows; ++r)
    two_bit_row(packed + r * packed_row_bytes(columns), blocks, tile + 4 * r);
  for (int64_t r = rows; r < kTwoBitRows; ++r) {
    for (int64_t j = 0; j < blocks; ++j) std::memset(tile + j * kBlockBytes + 4 * r, kZeros, 4);
  }
}

// ---- Base 3 ----

// Runs that are a whole number of blocks of five: 640 inputs.
constexpr int64_t kChunkRuns = 5, kChunkBytes = kChunkRuns * kRunBytes;
constexpr int64_t kChunkInputs = kChunkRuns * kRun, kChunkBlocks = kChunkInputs / kBase3Inputs;

using ByteLanes = std::array<uint8_t, kBase3Rows>;

// Codes of 64 rows, an input's side by side.
class Base3Chunk {
 public:
  // `rows` rows of `bytes` packed bytes each, `stride` apart; what is missing has level 0.
  void read(const uint8_t* packed, int64_t stride, int64_t rows, int64_t bytes) {
    std::memset(across_.data(), kZeros, sizeof across_);
    for (int64_t r = 0; r < rows; r += 8) {
      for (int64_t b = 0; b < bytes; b += 8)
        transpose(packed + r * stride + b, stride, std::min<int64_t>(8, rows - r), b, r);
    }
    for (int64_t b = 0; b < kChunkBytes; ++b) {
      const ByteLanes& in = across_[static_cast<size_t>(b)];
      ByteLanes* out = codes_.data() + b / kRunBytes * kRun + b % kRunBytes;
      for (size_t r = 0; r < kBase3Rows; ++r) {
        out[0][r] = in[r] & 3;
        out[32][r] = in[r] >> 2 & 3;
        out[64][r] = in[r] >> 4 & 3;
        out[96][r] = in[r] >> 6;
      }
    }
  }

  // Block g of the chunk, and which of its sums are negative are counted.
  void write(int64_t g, uint8_t* block, std::array<uint16_t, kBase3Rows>& negative) const {
    const ByteLanes* c = codes_.data() + g * kBase3Inputs;
    for (size_t r = 0; r < kBase3Rows; ++r) {
      uint8_t v = c[4][r];  // sum of code_i 3^i, 0 to 242; 121 more than the sum of the levels
      for (int i = 3; i >= 0; --i) v = static_cast<uint8_t>(v + v + v + c[i][r]);
      const uint8_t below = v < 121 ? 0xFF : 0;
      const auto magnitude = static_cast<uint8_t>(((v - 121) ^ below) - below);
      block[r] = static_cast<uint8_t>(magnitude | (below & 0x80));
      negative[r] = static_cast<uint16_t>(negative[r] + (below & 1));
    }
  }

 private:
  // 8 bytes of up to 8 rows, eight words at a time: swap halves, quarters, bytes.
  void transpose(const uint8_t* packed, int64_t stride, int64_t rows, int64_t b, int64_t r) {
    uint64_t w[8];
    for (int64_t i = 0; i < 8; ++i)
      w[i] = i < rows ? load_word(packed + i * stride) : kZeros * 0x0101010101010101u;
    constexpr uint64_t kKeep[] = {0x00FF00FF00FF00FFu, 0x0000FFFF0000FFFFu, 0x00000000FFFFFFFFu};
    for (int step = 0; step < 3; ++step) {
      const int distance = 1 << step, shift = 8 << step;
      for (int i = 0; i < 8; ++i) {
        if ((i & distance) != 0) continue;
        const uint64_t low = w[i], high = w[i + distance];
        w[i] = (low & kKeep[step]) | (high & kKeep[step]) << shift;
        w[i + distance] = (low >> shift & kKeep[step]) | (high & ~kKeep[step]);
      }
    }
    for (int64_t i = 0; i < 8; ++i)
      std::memcpy(across_[static_cast<size_t>(b + i)].data() + r, &w[i], 8);
  }

  std::array<ByteLanes, kChunkBytes> across_;  // packed bytes
  std::array<ByteLanes, kChunkInputs> codes_;
};

void base3_tile(const uint8_t* packed, int64_t rows, int64_t columns, uint8_t* tile) {
  thread_local Base3Chunk chunk;
  const int64_t row_bytes = packed_row_bytes(columns);
  const int64_t blocks = tile_blocks(TileForm::kBase3, columns);
  std::array<uint16_t, kBase3Rows> negative{};
  for (int64_t g = 0; g < blocks; ++g) {
    if (g % kChunkBlocks == 0) {
      const int64_t begin = g / kChunkBlocks * kChunkBytes;
      chunk.read(packed + begin, row_bytes, rows,
                 std::clamp<int64_t>(row_bytes - begin, 0, kChunkBytes));
    }
    chunk.write(g % kChunkBlocks, tile + g * kBlockBytes, negative);
  }
  std::memcpy(tile + blocks * kBlockBytes, negative.data(), kBase3Tail);
}

}  // namespace

std::string_view to_string(TileForm form) { return form == TileForm::kTwoBit ? "2-bit" : "base-3"; }

void tile_trits(TileForm form, std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                int64_t first, std::span<uint8_t> tiles) {
  const int64_t bytes = tile_bytes(form, columns), height = tile_rows(form);
  const int64_t count = static_cast<int64_t>(tiles.size()) / bytes;
  TRIT_CHECK(packed.size() == static_cast<size_t>(rows * packed_row_bytes(columns)));
  TRIT_CHECK(static_cast<int64_t>(tiles.size()) == count * bytes && first >= 0 &&
             first + count <= row_tiles(form, rows));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = (first + i) * height, here = std::min(height, rows - row);
    const uint8_t* from = packed.data() + row * packed_row_bytes(columns);
    uint8_t* to = tiles.data() + i * bytes;
    if (form == TileForm::kTwoBit) {
      two_bit_tile(from, here, columns, to);
    } else {
      base3_tile(from, here, columns, to);
    }
  }
}

}  // namespace trit
