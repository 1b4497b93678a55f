#include "text/jinja_unicode.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <cstdint>

namespace trit::jinja {
namespace {

// The C library's tables of Unicode; null (ASCII alone) on a system without them.
locale_t unicode() {
  static const locale_t locale =
      newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr));
  return locale;
}

char32_t upper(char32_t c) {
  if (c < 0x80 || unicode() == nullptr) return c >= U'a' && c <= U'z' ? c - 32 : c;
  return static_cast<char32_t>(towupper_l(static_cast<wint_t>(c), unicode()));
}

char32_t lower(char32_t c) {
  if (c < 0x80 || unicode() == nullptr) return c >= U'A' && c <= U'Z' ? c + 32 : c;
  return static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), unicode()));
}

void append_upper(std::string& text, char32_t c) {
  if (c == 0xDF) {  // the one letter in common use whose upper case is two
    text += "SS";
  } else {
    append_character(text, upper(c));
  }
}

bool has_case(char32_t c) { return upper(c) != c || lower(c) != c || c == 0xDF; }

template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  for (size_t i = 0; i < text.size(); i += character_length(text, i)) visit(character_at(text, i));
}

}  // namespace

size_t character_length(std::string_view text, size_t offset) {
  const auto lead = static_cast<uint8_t>(text[offset]);
  const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(length, text.size() - offset);
}

char32_t character_at(std::string_view text, size_t offset) {
  const size_t length = character_length(text, offset);
  const auto lead = static_cast<uint8_t>(text[offset]);
  if (length == 1) return lead;
  char32_t c = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    c = (c << 6) | (static_cast<uint8_t>(text[offset + i]) & 0x3Fu);
  return c;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

void append_character(std::string& text, char32_t c) {
  const auto byte = [&](char32_t value) { text += static_cast<char>(value); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | (c >> 6)), byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3F));
    byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F));
  }
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  const bool format = c == 0xAD || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
                      (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xE000 && c <= 0xF8FF);
  return c >= 0xA0 && !is_space(c) && !format &&
         (unicode() == nullptr || iswprint_l(static_cast<wint_t>(c), unicode()) != 0);
}

bool is_letter(char32_t c) {
  if (c < 0x80 || unicode() == nullptr) return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
  return iswalpha_l(static_cast<wint_t>(c), unicode()) != 0;
}

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

std::string to_upper(std::string_view text) {
  std::string out;
  for_each_character(text, [&](char32_t c) { append_upper(out, c); });
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  for_each_character(text, [&](char32_t c) { append_character(out, lower(c)); });
  return out;
}

std::string to_capital(std::string_view text) {
  if (text.empty()) return "";
  const size_t first = character_length(text, 0);
  const char32_t c = character_at(text, 0);
  std::string out;
  if (c == 0xDF) {
    out = "Ss";
  } else {
    append_character(out, upper(c));
  }
  return out + to_lower(text.substr(first));
}

std::string to_title(std::string_view text) {
  std::string out;
  bool inside = false;
  for_each_character(text, [&](char32_t c) {
    if (!inside && c == 0xDF) {
      out += "Ss";
    } else {
      append_character(out, inside ? lower(c) : upper(c));
    }
    inside = has_case(c);
  });
  return out;
}

bool is_upper(std::string_view text) {
  bool seen = false, all = true;
  for_each_character(text, [&](char32_t c) {
    seen = seen || has_case(c);
    all = all && (!has_case(c) || (lower(c) != c));
  });
  return seen && all;
}

bool is_lower(std::string_view text) {
  bool seen = false, all = true;
  for_each_character(text, [&](char32_t c) {
    seen = seen || has_case(c);
    all = all && (!has_case(c) || lower(c) == c);
  });
  return seen && all;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> set, bool left,
                       bool right) {
  const auto strips = [&](std::string_view character) {
    return set ? set->find(character) != std::string_view::npos
               : is_space(character_at(character, 0));
  };
  while (left && !text.empty()) {
    const size_t length = character_length(text, 0);
    if (!strips(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!strips(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace trit::jinja
