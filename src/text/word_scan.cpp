#include "text/word_scan.h"

#include <array>

#include "text/splitter.h"
#include "text/unicode.h"

namespace trit {
namespace {

using Class = CharacterClass;

std::array<Class, 128> ascii_classes() {
  std::array<Class, 128> classes{};
  for (uint32_t c = 0; c < 128; ++c) classes[c] = class_of(c);
  return classes;
}
const std::array<Class, 128> kAscii = ascii_classes();

struct At {
  Class kind;
  size_t bytes;  // 0 at the end of the text
};

At at(std::string_view text, size_t i) {
  if (i >= text.size()) return {Class::kOther, 0};
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 128) return {kAscii[byte], 1};
  const Character c = character_at(text, i);
  return {class_of(c.code), c.bytes};
}

// The end of the characters of one class that begin at i.
size_t run(std::string_view text, size_t i, Class kind) {
  for (At c = at(text, i); c.bytes > 0 && c.kind == kind; c = at(text, i)) i += c.bytes;
  return i;
}

bool is_newline(std::string_view text, size_t i) {
  return i < text.size() && (text[i] == '\r' || text[i] == '\n');
}

// The end of 's 't 're 've 'm 'll 'd at i, or i. U+017F, the long s, is an s when case is ignored.
size_t contraction(std::string_view text, size_t i, bool any_case) {
  if (text[i] != '\'' || i + 1 == text.size()) return i;
  const auto letter = [&](size_t j) {
    const char c = j < text.size() ? text[j] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(i + 1), second = letter(i + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return i + 2;
  if (second == 'e' && (first == 'r' || first == 'v')) return i + 3;
  if (first == 'l' && second == 'l') return i + 3;
  return any_case && text.substr(i + 1).starts_with("\u017F") ? i + 3 : i;
}

// \s+(?!\S)|\s+: blanks up to the last one before a word.
size_t blanks(std::string_view text, size_t i) {
  const size_t end = run(text, i, Class::kSpace);
  if (end == text.size()) return end;
  const size_t last = character_before(text, end);
  return last > i ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+: blanks up to the last line break among them.
size_t blanks_by_line(std::string_view text, size_t i) {
  for (size_t end = run(text, i, Class::kSpace); end > i; end = character_before(text, end)) {
    if (is_newline(text, end - 1)) return end;
  }
  return blanks(text, i);
}

// The patterns of LLaMA-3 and Qwen2, which differ in the digits of one word.
template <int kDigits>
size_t scan_by_line(std::string_view text, size_t i) {
  if (const size_t end = contraction(text, i, true); end > i) return end;
  const At first = at(text, i);
  if (first.kind == Class::kLetter) return run(text, i, Class::kLetter);
  if (first.kind == Class::kNumber) {
    size_t end = i;
    At digit = first;
    for (int n = 0; n < kDigits && digit.bytes > 0 && digit.kind == Class::kNumber; ++n) {
      end += digit.bytes;
      digit = at(text, end);
    }
    return end;
  }
  const size_t next = i + first.bytes;
  if (!is_newline(text, i)) {
    const size_t end = run(text, next, Class::kLetter);
    if (end > next) return end;
  }
  const size_t marks = text[i] == ' ' ? next : i;
  size_t end = run(text, marks, Class::kOther);
  if (end == marks) return blanks_by_line(text, i);
  while (is_newline(text, end)) ++end;
  return end;
}

size_t scan_gpt2(std::string_view text, size_t i) {
  if (const size_t end = contraction(text, i, false); end > i) return end;
  const size_t word = text[i] == ' ' ? i + 1 : i;
  const At first = at(text, word);
  if (first.bytes > 0 && first.kind != Class::kSpace) return run(text, word, first.kind);
  return blanks(text, i);
}

}  // namespace

WordScan find_word_scan(std::string_view pattern) {
  if (pattern == kLlama3Pattern) return scan_by_line<3>;
  if (pattern == kQwen2Pattern) return scan_by_line<1>;
  if (pattern == kGpt2Pattern) return scan_gpt2;
  return nullptr;
}

}  // namespace trit
