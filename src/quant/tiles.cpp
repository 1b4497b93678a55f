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

using Words = uint32_t __attribute__((vector_size(16)));

// Half a run of four rows. Plane q of its 16 bytes is a block's 16 inputs of a row: four neighbours, a word, go into
// one bit place of the lane's bytes, the next four into the next. `lanes` is where the first block has the four rows.
void two_bit_half(const std::array<const uint8_t*, 4>& rows, int64_t at, int64_t blocks,
                  uint8_t* lanes) {
  Words w0, w1, w2, w3;
  std::memcpy(&w0, rows[0] + at, sizeof w0);
  std::memcpy(&w1, rows[1] + at, sizeof w1);
  std::memcpy(&w2, rows[2] + at, sizeof w2);
  std::memcpy(&w3, rows[3] + at, sizeof w3);
  const Words low01 = __builtin_shufflevector(w0, w1, 0, 4, 1, 5);
  const Words low23 = __builtin_shufflevector(w2, w3, 0, 4, 1, 5);
  const Words high01 = __builtin_shufflevector(w0, w1, 2, 6, 3, 7);
  const Words high23 = __builtin_shufflevector(w2, w3, 2, 6, 3, 7);
  const Words x0 = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  const Words x1 = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  const Words x2 = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  const Words x3 = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
  constexpr uint32_t kCode = 0x03030303u;
  for (int q = 0; q < 4 && 2 * q < blocks; ++q) {
    const int shift = 2 * q;
    const Words lane = (x0 >> shift & kCode) | (x1 >> shift & kCode) << 2 |
                       (x2 >> shift & kCode) << 4 | (x3 >> shift & kCode) << 6;
    std::memcpy(lanes + 2 * q * kBlockBytes, &lane, sizeof lane);
  }
}

void two_bit_tile(const uint8_t* packed, int64_t rows, int64_t columns, uint8_t* tile) {
  const int64_t blocks = tile_blocks(TileForm::kTwoBit, columns);
  const int64_t row_bytes = packed_row_bytes(columns);
  const std::vector<uint8_t> missing(static_cast<size_t>(rows < kTwoBitRows ? row_bytes : 0),
                                     kZeros);
  for (int64_t r = 0; r < kTwoBitRows; r += 4) {
    std::array<const uint8_t*, 4> four{};
    for (int64_t i = 0; i < 4; ++i)
      four[static_cast<size_t>(i)] = r + i < rows ? packed + (r + i) * row_bytes : missing.data();
    for (int64_t j = 0; j < blocks; j += 8) {
      uint8_t* lanes = tile + j * kBlockBytes + 4 * r;
      two_bit_half(four, j / 8 * kRunBytes, blocks - j, lanes);
      if (j + 1 < blocks)
        two_bit_half(four, j / 8 * kRunBytes + 16, blocks - j - 1, lanes + kBlockBytes);
    }
  }
}

// ---- Base 3 ----

// Runs that are a whole number of blocks of five: 640 inputs.
constexpr int64_t kChunkRuns = 5, kChunkBytes = kChunkRuns * kRunBytes;
constexpr int64_t kChunkInputs = kChunkRuns * kRun, kChunkBlocks = kChunkInputs / kBase3Inputs;

constexpr int64_t kLanes = 16;  // rows of a vector
using Bytes = uint8_t __attribute__((vector_size(16)));
using Halves = uint16_t __attribute__((vector_size(16)));

// 16 rows of 16 bytes to 16 columns: what lies eight apart is interleaved, four times.
void transpose(std::array<Bytes, 16>& x) {
  for (int round = 0; round < 4; ++round) {
    std::array<Bytes, 16> y;
    for (size_t i = 0; i < 8; ++i) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                         6, 22, 7, 23);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                             13, 29, 14, 30, 15, 31);
    }
    x = y;
  }
}

// Where the chunk's inputs stand in its packed rows.
struct Place {
  uint16_t byte, shift;
};
constexpr std::array<Place, kChunkInputs> kPlaces = [] {
  std::array<Place, kChunkInputs> places{};
  for (int64_t i = 0; i < kChunkInputs; ++i) {
    const int64_t j = i % kRun;
    places[static_cast<size_t>(i)] = {static_cast<uint16_t>(i / kRun * kRunBytes + j % 32),
                                      static_cast<uint16_t>(j / 32 * 2)};
  }
  return places;
}();

// Packed bytes of 64 rows, a column's side by side.
class Base3Chunk {
 public:
  // `rows` rows of `bytes` packed bytes each, `stride` apart; what is missing has level 0.
  void read(const uint8_t* packed, int64_t stride, int64_t rows, int64_t bytes) {
    for (int64_t r = 0; r < kBase3Rows; r += kLanes) {
      for (int64_t b = 0; b < kChunkBytes; b += 16) {
        std::array<Bytes, 16> x;
        for (int64_t i = 0; i < kLanes; ++i) {
          Bytes& row = x[static_cast<size_t>(i)];
          std::memset(&row, kZeros, sizeof row);
          if (r + i < rows && b < bytes) std::memcpy(&row, packed + (r + i) * stride + b, 16);
        }
        transpose(x);
        for (int64_t i = 0; i < 16; ++i)
          across_[static_cast<size_t>((b + i) * kBase3Rows + r) / 16] = x[static_cast<size_t>(i)];
      }
    }
  }

  // `count` blocks, and which of their sums are negative are counted.
  void write(int64_t count, uint8_t* blocks, std::array<uint16_t, kBase3Rows>& negative) const {
    for (int64_t r = 0; r < kBase3Rows; r += kLanes) {
      Bytes below_zero = {};  // at most 128 times
      for (int64_t g = 0; g < count; ++g) {
        const Place* places = &kPlaces[static_cast<size_t>(g * kBase3Inputs)];
        Bytes v = {};  // sum of code_i 3^i, 0 to 242; 121 more than the sum of the levels
        for (int64_t i = kBase3Inputs - 1; i >= 0; --i) v = v + v + v + codes(places[i], r);
        const Bytes below = reinterpret_cast<Bytes>(v < 121);
        const Bytes block = (((v - 121) ^ below) - below) | (below & 0x80);
        std::memcpy(blocks + g * kBlockBytes + r, &block, sizeof block);
        below_zero -= below;
      }
      for (int64_t i = 0; i < kLanes; ++i)
        negative[static_cast<size_t>(r + i)] =
            static_cast<uint16_t>(negative[static_cast<size_t>(r + i)] + below_zero[i]);
    }
  }

 private:
  // Of an input of the chunk, rows r to r + 15.
  Bytes codes(Place place, int64_t r) const {
    const auto packed =
        reinterpret_cast<Halves>(across_[place.byte * size_t{4} + static_cast<size_t>(r) / 16]);
    return reinterpret_cast<Bytes>(packed >> place.shift) & 3;
  }

  std::array<Bytes, kChunkBytes * 4> across_;
};

void base3_tile(const uint8_t* packed, int64_t rows, int64_t columns, uint8_t* tile) {
  thread_local Base3Chunk chunk;
  const int64_t row_bytes = packed_row_bytes(columns);
  const int64_t blocks = tile_blocks(TileForm::kBase3, columns);
  std::array<uint16_t, kBase3Rows> negative{};
  for (int64_t g = 0; g < blocks; g += kChunkBlocks) {
    const int64_t begin = g / kChunkBlocks * kChunkBytes;
    chunk.read(packed + begin, row_bytes, rows, std::max<int64_t>(row_bytes - begin, 0));
    chunk.write(std::min(kChunkBlocks, blocks - g), tile + g * kBlockBytes, negative);
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
