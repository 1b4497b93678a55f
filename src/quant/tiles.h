#pragma once
// Ternary matrices as the kernels like to read them: the weights that one vector register takes lie side by
// side, in lanes of rows, so that nothing is summed across lanes. Made from the canonical packing when a
// model is opened; one copy serves a single token and many.
//
// A tile is some rows of the matrix with all their inputs, cut into blocks of 64 bytes; tiles follow each
// other. Rows past the matrix and inputs past a row are level 0.
//
//   kTwoBit  2 bits a weight: 16 rows, blocks of 16 inputs. Lane r (bytes 4 r .. 4 r + 3) is row r; its byte b
//            holds inputs b, 4 + b, 8 + b, 12 + b of the block as codes level + 1 at bits 0, 2, 4, 6. So the
//            codes at one place of all bytes meet four neighbouring activations.
//   kBase3   1.6 bits a weight: 64 rows, blocks of 5 inputs, a whole number of times four blocks. Byte r is
//            row r: the magnitude of s = sum_i level_i 3^i (0 to 121) and, at bit 7, whether s < 0. Behind the
//            last block stand 64 uint16 (little-endian): in how many blocks the row's s is negative.

#include <cstdint>
#include <span>
#include <string_view>

namespace trit {

enum class TileForm : uint8_t { kTwoBit, kBase3 };
std::string_view to_string(TileForm form);  // "2-bit", "base-3"

inline constexpr int64_t kBlockBytes = 64;
inline constexpr int64_t kTwoBitRows = 16, kTwoBitInputs = 16;
inline constexpr int64_t kBase3Rows = 64, kBase3Inputs = 5, kBase3Tail = 128;

constexpr int64_t tile_rows(TileForm form) {
  return form == TileForm::kTwoBit ? kTwoBitRows : kBase3Rows;
}
// Tiles of a matrix.
constexpr int64_t row_tiles(TileForm form, int64_t rows) {
  return (rows + tile_rows(form) - 1) / tile_rows(form);
}
// Blocks of a tile.
constexpr int64_t tile_blocks(TileForm form, int64_t columns) {
  return form == TileForm::kTwoBit ? (columns + 15) / 16 : (columns + 19) / 20 * 4;
}
constexpr int64_t tile_bytes(TileForm form, int64_t columns) {
  return tile_blocks(form, columns) * kBlockBytes + (form == TileForm::kBase3 ? kBase3Tail : 0);
}
constexpr int64_t tiled_bytes(TileForm form, int64_t rows, int64_t columns) {
  return row_tiles(form, rows) * tile_bytes(form, columns);
}
// Elements from one row of activations to the next: whole blocks of either form and of 64, the rest zeros.
constexpr int64_t activation_stride(int64_t columns) { return (columns + 19 + 63) / 64 * 64; }

// Tiles [first, first + tiles.size() / tile_bytes) of the matrix whose canonical packing (quant/packing.h) is
// `packed`, all of it: [rows, packed_row_bytes(columns)]. Codes must be valid.
void tile_trits(TileForm form, std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                int64_t first, std::span<uint8_t> tiles);

}  // namespace trit
