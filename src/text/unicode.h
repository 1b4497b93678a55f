#pragma once
// What tokenizers ask of Unicode: decoded characters, their classes, and normal form C (utf8proc).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trit {

struct Character {
  uint32_t code;
  uint32_t bytes;  // its length in UTF-8
};

// The character at `offset` < text.size(); `text` must be valid UTF-8.
Character character_at(std::string_view text, size_t offset);
// The offset of the character that ends at `end` > 0.
size_t character_before(std::string_view text, size_t end);

enum class CharacterClass : uint8_t {
  kLetter,  // \p{L}
  kNumber,  // \p{N}
  kSpace,   // \s: White_Space
  kOther,
};
CharacterClass class_of(uint32_t code);
// \w: letters, marks, digits, connectors such as the underscore.
bool is_word_character(uint32_t code);

// Normalization Form C of valid UTF-8.
std::string to_nfc(std::string_view text);
// True only when to_nfc(text) == text; quick, and so false for some texts that are in form C.
bool is_surely_nfc(std::string_view text);

}  // namespace trit
