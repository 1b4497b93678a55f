#include "quant/tiles.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

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

using Words = uint32_t __attribute__((vector_size(16)));  // of four rows

// a's fields under `keep` stay and b's come beside them, `shift` bits up; b keeps the others, a's come down to it.
void swap_fields(Words& a, Words& b, int shift, uint32_t keep) {
  const Words low = (a & keep) | (b & keep) << shift;
  b = (a >> shift & keep) | (b & ~keep);
  a = low;
}

// Word p of sixteen bytes of a run, four of them, holds inputs 4 p .. 4 p + 3 of four blocks, a block at each bit
// place of the bytes; a lane of a block holds its inputs by place. So it is a transposition of 4 x 4 codes.
void transpose_codes(Words* w) {
  swap_fields(w[0], w[1], 2, 0x33333333u);
  swap_fields(w[2], w[3], 2, 0x33333333u);
  swap_fields(w[0], w[2], 4, 0x0F0F0F0Fu);
  swap_fields(w[1], w[3], 4, 0x0F0F0F0Fu);
}

// Sixteen bytes of each of four rows, `stride` apart, by words.
void load_rows(const uint8_t* packed, int64_t stride, Words* w) {
  Words row[4];
  for (int r = 0; r < 4; ++r) std::memcpy(&row[r], packed + r * stride, sizeof row[r]);
  const Words a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
  const Words b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const Words c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Words d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  w[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  w[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  w[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  w[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// Sixteen rows.
void two_bit_tile(const uint8_t* packed, int64_t row_bytes, int64_t blocks, uint8_t* tile) {
  for (int64_t byte = 0; byte < row_bytes; byte += 16) {
    for (int r = 0; r < kTwoBitRows; r += 4) {
      Words w[4];
      load_rows(packed + r * row_bytes + byte, row_bytes, w);
      transpose_codes(w);
      for (int q = 0; q < 4; ++q) {
        const int64_t block = byte / kRunBytes * 8 + 2 * q + byte % kRunBytes / 16;
        if (block < blocks) std::memcpy(tile + block * kBlockBytes + 4 * r, &w[q], sizeof w[q]);
      }
    }
  }
}

// `rows` rows, filled up to sixteen.
void last_two_bit_tile(const uint8_t* packed, int64_t rows, int64_t row_bytes, int64_t blocks,
                       uint8_t* tile) {
  std::vector<uint8_t> filled(static_cast<size_t>(kTwoBitRows * row_bytes), kZeros);
  std::copy_n(packed, rows * row_bytes, filled.data());
  two_bit_tile(filled.data(), row_bytes, blocks, tile);
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
    const int64_t row_bytes = packed_row_bytes(columns), blocks = tile_blocks(form, columns);
    if (form == TileForm::kBase3) {
      base3_tile(from, here, columns, to);
    } else if (here == height) {
      two_bit_tile(from, row_bytes, blocks, to);
    } else {
      last_two_bit_tile(from, here, row_bytes, blocks, to);
    }
  }
}

}  // namespace trit
