#pragma once
// For tests alone: random text.

#include <iterator>
#include <string>

#include "base/rng.h"

namespace trit {

inline std::string utf8(uint32_t c) {
  const auto continuation = [&](int shift) {
    return static_cast<char>(0x80 | (c >> shift & 0x3F));
  };
  std::string s;
  if (c < 0x80) return s += static_cast<char>(c);
  if (c < 0x800) return s += {static_cast<char>(0xC0 | c >> 6), continuation(0)};
  if (c < 0x10000)
    return s += {static_cast<char>(0xE0 | c >> 12), continuation(6), continuation(0)};
  return s +=
         {static_cast<char>(0xF0 | c >> 18), continuation(12), continuation(6), continuation(0)};
}

// A random code point; every script, controls, and unassigned ones too.
inline std::string random_character(Rng& rng) {
  constexpr uint32_t kLimits[] = {0x80, 0x800, 0x3000, 0xD800, 0x10000, 0x20000, 0x110000};
  const auto c = static_cast<uint32_t>(rng.below(kLimits[rng.below(7)]));
  return c >= 0xD800 && c < 0xE000 ? " " : utf8(c);
}

// Up to `longest` - 1 of them; half are blanks, quotes, digits and letters that patterns tell apart.
inline std::string random_text(Rng& rng, uint64_t longest) {
  constexpr const char* kTelling[] = {" ",  " ",  "\n", "\r", "\t", "'", "s",      "T",      "re",
                                      "LL", "v",  "1",  "23", "a",  "!", "\u00A0", "\u017F", "é",
                                      "²",  "日", "-",  "ve", "M",  "d", "\u0301", "\u3000", "<"};
  std::string text;
  for (uint64_t n = rng.below(longest); n > 0; --n) {
    text += rng.below(2) == 0 ? kTelling[rng.below(std::size(kTelling))] : random_character(rng);
  }
  return text;
}

}  // namespace trit
