#pragma once
// What the reader and the writer of GGUF files share. These values are on disk: do not change.

#include <bit>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "formats/gguf.h"

namespace trit {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint32_t kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr uint32_t kGgufMaxDimensions = 4;
inline constexpr size_t kGgufMaxNameBytes = 64;

// The CRC-32 of what `before` is the CRC of, followed by `bytes`.
uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t before);

// Alignment of the tensor data, from the value of kGgufAlignmentKey or null when there is none.
inline uint32_t gguf_alignment(const GgufValue* value, std::string_view where) {
  if (value == nullptr) return kGgufDefaultAlignment;
  const auto* alignment = std::get_if<uint32_t>(value);
  if (alignment == nullptr || !std::has_single_bit(*alignment)) {
    bad_input("{}: {} is {}; it must be a power of two as u32", where, kGgufAlignmentKey,
              alignment == nullptr ? "of another type" : fmt::format("{}", *alignment));
  }
  return *alignment;
}

}  // namespace trit
