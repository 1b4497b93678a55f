#include "text/unicode.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

TEST(Unicode, CharactersForthAndBack) {
  const std::string text = "a\u00e9\u65e5\U0001F9FF";
  const uint32_t codes[] = {'a', 0xE9, 0x65E5, 0x1F9FF};
  size_t i = 0;
  for (const uint32_t code : codes) {
    const Character c = character_at(text, i);
    EXPECT_EQ(c.code, code);
    EXPECT_EQ(character_before(text, i + c.bytes), i);
    i += c.bytes;
  }
  EXPECT_EQ(i, text.size());
}

// Unicode Standard Annex 15, figures 3 to 5, and the composition exclusion U+0958.
TEST(Unicode, NormalFormC) {
  EXPECT_EQ(to_nfc("A\u030A"), "\u00C5");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");
  EXPECT_EQ(to_nfc("\u1E0B\u0323"), "\u1E0D\u0307");
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\uFB01 2\u2075"), "\uFB01 2\u2075");
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");
  EXPECT_EQ(to_nfc(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(to_nfc(""), "");
}

TEST(Unicode, WhatIsSurelyInFormCIs) {
  EXPECT_TRUE(is_surely_nfc("plain text, d\u00e9j\u00e0 vu"));
  EXPECT_FALSE(is_surely_nfc("e\u0301"));
  EXPECT_FALSE(is_surely_nfc("\u212B"));
}

TEST(Unicode, WordCharacters) {
  for (const uint32_t code : {0x41u, 0x5Fu, 0x301u, 0x663u, 0x65E5u}) {
    EXPECT_TRUE(is_word_character(code)) << code;
  }
  for (const uint32_t code : {0x20u, 0x2Eu, 0xB2u, 0x2581u}) {
    EXPECT_FALSE(is_word_character(code)) << code;
  }
}

}  // namespace
}  // namespace trit
