#pragma once
// What the layouts share; for layout*.cpp alone.

#include <cstdint>
#include <cstring>
#include <optional>

#include "base/dtype.h"
#include "base/error.h"
#include "quant/layouts.h"
#include "quant/packing.h"

namespace trit {

inline float load_f16(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return f16_to_f32(bits);
}

inline void store_f16(uint8_t* bytes, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(bytes, &bits, sizeof bits);
}

inline bool finite_f16(const uint8_t* bytes) { return (bytes[1] & 0x7C) != 0x7C; }

inline LayoutFault scale_fault(int64_t column, float scale) {
  return {column, fmt::format("the scale of its block is {}; it must be finite", scale)};
}

// The check of layouts whose blocks have fp16 scales at these offsets and can go wrong nowhere else.
template <int64_t kBlock, int64_t kBytes, int64_t... kOffsets>
std::optional<LayoutFault> check_scales(const uint8_t* row, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
    for (const int64_t offset : {kOffsets...}) {
      if (!finite_f16(row + offset)) return scale_fault(b * kBlock, load_f16(row + offset));
    }
  }
  return std::nullopt;
}

// One canonical run <-> its 128 codes in order.
inline void split_run(const uint8_t* run, uint8_t* codes) {
  for (int plane = 0; plane < 4; ++plane) {
    for (int b = 0; b < kRunBytes; ++b) {
      codes[32 * plane + b] = static_cast<uint8_t>(run[b] >> (2 * plane) & 3);
    }
  }
}
inline void join_run(const uint8_t* codes, uint8_t* run) {
  for (int b = 0; b < kRunBytes; ++b) {
    run[b] = static_cast<uint8_t>(codes[b] | codes[32 + b] << 2 | codes[64 + b] << 4 |
                                  codes[96 + b] << 6);
  }
}

// Whether a code of 3 is among canonical bytes; `bytes` is a multiple of 8.
inline bool has_code_three(const uint8_t* packed, int64_t bytes) {
  uint64_t threes = 0;
  for (int64_t i = 0; i < bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, packed + i, sizeof word);
    threes |= word & word >> 1;
  }
  return (threes & 0x5555555555555555u) != 0;
}

// Throws Error at the first code of 3 in a canonical row; its row is `row` of matrix `name`.
void refuse_code_three(const uint8_t* packed, int64_t columns, int64_t row, std::string_view name);

}  // namespace trit
