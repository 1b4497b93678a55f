#include "quant/packing.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

constexpr uint64_t kLowBits = 0x5555555555555555u;  // the low bit of each code

uint64_t load_word(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

int code_at(const uint8_t* row, int64_t column) {
  const int64_t run = column / kRun, j = column % kRun;
  return row[run * kRunBytes + j % 32] >> (2 * (j / 32)) & 3;
}

void check_sizes(size_t packed, size_t levels, int64_t rows, int64_t columns) {
  TRIT_CHECK(rows >= 0 && columns >= 0);
  TRIT_CHECK(packed == static_cast<size_t>(rows * packed_row_bytes(columns)));
  TRIT_CHECK(levels == static_cast<size_t>(rows * columns));
}

}  // namespace

void pack_trits(std::span<const int8_t> levels, int64_t rows, int64_t columns,
                std::span<uint8_t> packed) {
  check_sizes(packed.size(), levels.size(), rows, columns);
  const int64_t row_bytes = packed_row_bytes(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* in = levels.data() + r * columns;
    uint8_t* out = packed.data() + r * row_bytes;
    for (int64_t run = 0; run * kRun < columns; ++run) {
      uint8_t codes[kRun];
      const int64_t here = std::min(kRun, columns - run * kRun);
      std::memset(codes, 1, sizeof codes);
      for (int64_t j = 0; j < here; ++j) codes[j] = static_cast<uint8_t>(in[run * kRun + j] + 1);
      for (int b = 0; b < 32; ++b) {
        out[run * kRunBytes + b] = static_cast<uint8_t>(codes[b] | codes[32 + b] << 2 |
                                                        codes[64 + b] << 4 | codes[96 + b] << 6);
      }
    }
  }
}

void unpack_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                  std::span<int8_t> levels, std::string_view name) {
  check_sizes(packed.size(), levels.size(), rows, columns);
  const int64_t row_bytes = packed_row_bytes(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = packed.data() + r * row_bytes;
    for (int64_t c = 0; c < padded_columns(columns); ++c) {
      const int code = code_at(row, c);
      if (code == 3 || (c >= columns && code != 1)) {
        bad_input(
            "{}: row {} column {} has code {}; a trit's code is 0, 1 or 2, and 1 past the row's "
            "end",
            name, r, c, code);
      }
      if (c < columns) levels[static_cast<size_t>(r * columns + c)] = static_cast<int8_t>(code - 1);
    }
  }
}

void dequantize_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns, float scale,
                      float* weights) {
  TRIT_CHECK(packed.size() == static_cast<size_t>(rows * packed_row_bytes(columns)));
  float row[kRun];
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* run = packed.data() + r * packed_row_bytes(columns);
    for (int64_t c = 0; c < columns; c += kRun, run += kRunBytes) {
      for (int plane = 0; plane < 4; ++plane) {
        for (int b = 0; b < 32; ++b) {
          row[32 * plane + b] = static_cast<float>((run[b] >> (2 * plane) & 3) - 1) * scale;
        }
      }
      std::copy_n(row, std::min(kRun, columns - c), weights + r * columns + c);
    }
  }
}

TritCounts count_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns) {
  TRIT_CHECK(packed.size() == static_cast<size_t>(rows * packed_row_bytes(columns)));
  TritCounts counts;
  for (size_t i = 0; i < packed.size(); i += 8) {
    const uint64_t word = load_word(packed.data() + i);
    const uint64_t low = word & kLowBits, high = word >> 1 & kLowBits;
    counts.invalid += std::popcount(low & high);
    counts.zero += std::popcount(low & ~high);
    counts.plus += std::popcount(high & ~low);
    counts.minus += std::popcount(~(low | high) & kLowBits);
  }
  const int64_t filling = padded_columns(columns) - columns;
  counts.zero -= rows * filling;  // the filling has code 1; what is not is found row by row
  for (int64_t r = 0; filling > 0 && r < rows; ++r) {
    for (int64_t c = columns; c < padded_columns(columns); ++c) {
      const int code = code_at(packed.data() + r * packed_row_bytes(columns), c);
      if (code == 1) continue;
      ++counts.zero;
      counts.invalid += code != 3;
      counts.minus -= code == 0;
      counts.plus -= code == 2;
    }
  }
  return counts;
}

bool valid_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns) {
  TRIT_CHECK(packed.size() == static_cast<size_t>(rows * packed_row_bytes(columns)));
  uint64_t threes = 0;
  for (size_t i = 0; i < packed.size(); i += 8) {
    const uint64_t word = load_word(packed.data() + i);
    threes |= word & word >> 1;
  }
  if ((threes & kLowBits) != 0) return false;
  for (int64_t r = 0; columns % kRun != 0 && r < rows; ++r) {
    for (int64_t c = columns; c < padded_columns(columns); ++c) {
      if (code_at(packed.data() + r * packed_row_bytes(columns), c) != 1) return false;
    }
  }
  return true;
}

int64_t count_flips(std::span<const uint8_t> before, std::span<const uint8_t> after) {
  TRIT_CHECK(before.size() == after.size());
  int64_t flips = 0;
  for (size_t i = 0; i < before.size(); i += 8) {
    const uint64_t difference = load_word(before.data() + i) ^ load_word(after.data() + i);
    flips += std::popcount((difference | difference >> 1) & kLowBits);
  }
  return flips;
}

}  // namespace trit
