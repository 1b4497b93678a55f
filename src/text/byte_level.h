#pragma once
// The printable alphabet of byte-level BPE (GPT-2, Radford et al. 2019): files spell each byte of a
// token as one Unicode character, so that tokens are strings without blanks or control characters.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trit {

// All 256 bytes in the order of their characters: '!'..'~', 0xA1..0xAC, 0xAE..0xFF stand for
// themselves, then 0x00..0x20, 0x7F..0xA0, 0xAD become U+0100, U+0101, ...
const std::array<uint8_t, 256>& byte_level_order();

// Bytes -> characters of the alphabet (UTF-8).
std::string to_byte_level(std::string_view bytes);
// The inverse; nothing when `spelled` holds a character that is not in the alphabet.
std::optional<std::string> from_byte_level(std::string_view spelled);

}  // namespace trit
