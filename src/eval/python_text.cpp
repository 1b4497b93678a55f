#include "eval/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace trit {
namespace {

// str.isspace(): bidirectional type WS, B or S, or category Zs.
bool is_space(uint32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
  return class_of(code) == CharacterClass::kSpace;
}

void append(std::string& text, int32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto count = utf8proc_encode_char(code, bytes.data());
  text.append(bytes.begin(), bytes.begin() + count);
}

}  // namespace

std::string_view python_lstrip(std::string_view text) {
  while (!text.empty()) {
    const Character c = character_at(text, 0);
    if (!is_space(c.code)) break;
    text.remove_prefix(c.bytes);
  }
  return text;
}

std::string_view python_rstrip(std::string_view text) {
  while (!text.empty()) {
    const size_t last = character_before(text, text.size());
    if (!is_space(character_at(text, last).code)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::string_view python_strip(std::string_view text) { return python_lstrip(python_rstrip(text)); }

std::string python_capitalize(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    append(out, at == 0 ? utf8proc_totitle(code) : utf8proc_tolower(code));
    at += c.bytes;
  }
  return out;
}

int64_t python_length(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

std::string python_replace(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t found = std::min(text.find(what, at), text.size());
    out += text.substr(at, found - at);
    if (found == text.size()) break;
    out += with;
    at = found + what.size();
  }
  return out;
}

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const bool space = is_space(c.code);
    words += !space && !inside ? 1 : 0;
    inside = !space;
    at += c.bytes;
  }
  return words;
}

int64_t count_pieces(std::string_view text) {
  const bool before = python_lstrip(text).size() < text.size();
  const bool after = python_rstrip(text).size() < text.size();
  const int64_t words = count_words(text);
  if (words == 0) return before ? 2 : 1;
  return words + (before ? 1 : 0) + (after ? 1 : 0);
}

}  // namespace trit
