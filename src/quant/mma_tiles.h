#pragma once
// Ternary matrices as NVIDIA tensor cores read them: 2 bits a weight, in the order of the registers that hold the
// left operand of mma.m16n8k32 (and, four tiles at a time, of wgmma.m64nNk32) over 8-bit integers, so that a lane
// unpacks with shifts and masks alone. One copy serves a single token and many.
//
// A tile is 16 rows with all their inputs, cut into blocks of 128 inputs, 512 bytes each; a tile's blocks follow each
// other, and so do tiles. Rows past the matrix and inputs past a row are level 0 (code 1).
//
//   block   lane l = 0..31 at bytes 16 l: four words (little-endian) w0..w3; with g = l / 4, t = l % 4
//           word i, byte b, bits 2 s and 2 s + 1 (s = 0..3): the code level + 1 of
//           row g + 8 (i % 2), input 32 s + 16 (i / 2) + 4 t + b of the block
//
// That is four neighbouring bytes of a run of the canonical packing (quant/packing.h), so making tiles moves words
// and looks at no code. ((w_i >> 2 s) & 0x03030303), i = 0..3, are registers a0..a3 of step s, which covers inputs 32 s to
// 32 s + 31 (PTX ISA, "Matrix Fragments for mma.m16n8k32"). The products of codes are those of levels plus the sum of the
// activations.

#include <cstdint>
#include <span>

namespace trit {

inline constexpr int64_t kMmaRows = 16, kMmaInputs = 128, kMmaBlockBytes = 512;

constexpr int64_t mma_tiles(int64_t rows) { return (rows + kMmaRows - 1) / kMmaRows; }
constexpr int64_t mma_blocks(int64_t columns) { return (columns + kMmaInputs - 1) / kMmaInputs; }
constexpr int64_t mma_tile_bytes(int64_t columns) { return mma_blocks(columns) * kMmaBlockBytes; }
constexpr int64_t mma_bytes(int64_t rows, int64_t columns) {
  return mma_tiles(rows) * mma_tile_bytes(columns);
}

// All tiles of the matrix whose canonical packing (quant/packing.h) is `packed`: [rows, packed_row_bytes(columns)].
// Tile i goes to out + i * tile_stride bytes, so that the tiles of two matrices can alternate. Codes must be valid.
void mma_tile_trits(std::span<const uint8_t> packed, int64_t rows, int64_t columns, uint8_t* out,
                    int64_t tile_stride);

}  // namespace trit
