#pragma once
// The canonical 2-bit packing: four trits a byte. One layout on disk and in memory, whatever CPU
// wrote it; tensors of it lie in trit's GGUF files, so it must not change.
//
// A row of K levels is cut into runs of 128, the last one filled up with zeros. A run takes 32
// bytes: element j of the run sits in byte j mod 32 at bits 2*(j div 32) and the next, as the
// code level + 1 (0, 1, 2; 3 is invalid):
//
//   bits    7 6       5 4       3 2       1 0
//   byte b  96 + b    64 + b    32 + b    b         b = 0..31
//
// (within a run this is the order of ggml's TQ2_0). The scale stands apart.

#include <cstdint>
#include <span>
#include <string_view>

namespace trit {

inline constexpr int64_t kRun = 128;      // trits in a run
inline constexpr int64_t kRunBytes = 32;  // bytes of a run

// Trits of a row after filling up, and its bytes.
constexpr int64_t padded_columns(int64_t columns) { return (columns + kRun - 1) / kRun * kRun; }
constexpr int64_t packed_row_bytes(int64_t columns) { return padded_columns(columns) / 4; }
constexpr int64_t runs(int64_t columns) { return padded_columns(columns) / kRun; }

// levels [rows, columns] in {-1, 0, 1} -> packed [rows, packed_row_bytes(columns)].
void pack_trits(std::span<const int8_t> levels, int64_t rows, int64_t columns,
                std::span<uint8_t> packed);
// The reverse. Throws Error that names `name`, row and column when a code is 3 or the filling is not zero.
void unpack_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                  std::span<int8_t> levels, std::string_view name);

// The reverse as float32: weights [rows, columns] = level * scale. Codes must be valid.
void dequantize_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns, float scale,
                      float* weights);

// Counts of the levels -1, 0, +1 in packed [rows, columns], and of codes 3 or non-zero filling.
struct TritCounts {
  int64_t minus = 0, zero = 0, plus = 0, invalid = 0;
};
TritCounts count_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns);

// Whether all codes are 0, 1 or 2 and the filling is zeros: count_trits().invalid == 0, at memory speed.
bool valid_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns);

// Positions at which two packed matrices of the same shape differ.
int64_t count_flips(std::span<const uint8_t> before, std::span<const uint8_t> after);

}  // namespace trit
