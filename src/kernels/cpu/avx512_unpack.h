#pragma once
// Packed tiles -> a byte a weight, for products of many tokens. The codes of 64 rows (level + 1):
// [group of 4 inputs][4 registers][64 bytes], in every register 16 rows of 4 neighbouring inputs.
//
//   two_bit  up to 4 tiles of 16 rows: register i is tile i
//   base3    a tile of 64 rows: register i is rows 16 i to 16 i + 15

#include <cstdint>

namespace trit::kernels {

inline constexpr int64_t kGroupBytes = 256;

// `blocks` blocks (base3: a multiple of four) of `tiles` tiles, whose first blocks stand at w and every
// tile_bytes from there; of base3 there is one. codes: 64-byte aligned; registers of missing tiles are
// not written.
using UnpackCodes = void(const uint8_t* w, int64_t tile_bytes, int64_t tiles, int64_t blocks,
                         uint8_t* codes);

UnpackCodes unpack_two_bit_avx512, unpack_base3_avx512vnni, unpack_base3_avx512vbmi;

}  // namespace trit::kernels
