#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace trit {
namespace {

uint32_t low_bits(std::string_view text, size_t offset, uint32_t mask) {
  return static_cast<uint8_t>(text[offset]) & mask;
}

bool is_white_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

utf8proc_category_t category(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

}  // namespace

Character character_at(std::string_view text, size_t offset) {
  const uint32_t lead = low_bits(text, offset, 0xFF);
  if (lead < 0x80) return {lead, 1};
  const auto next = [&](size_t i) { return low_bits(text, offset + i, 0x3F); };
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | next(1), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | next(1) << 6 | next(2), 3};
  return {(lead & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4};
}

size_t character_before(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && low_bits(text, end, 0xC0) == 0x80);
  return end;
}

CharacterClass class_of(uint32_t code) {
  if (is_white_space(code)) return CharacterClass::kSpace;
  const utf8proc_category_t c = category(code);
  if (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) return CharacterClass::kLetter;
  if (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO) return CharacterClass::kNumber;
  return CharacterClass::kOther;
}

bool is_word_character(uint32_t code) {
  const utf8proc_category_t c = category(code);
  return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

// Below U+0300, whose lead byte is 0xCC, nothing composes.
bool is_surely_nfc(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<uint8_t>(byte) < 0xCC; });
}

std::string to_nfc(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (size < 0) failure("normalizing {} bytes: {}", text.size(), utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(result), static_cast<size_t>(size)};
}

}  // namespace trit
