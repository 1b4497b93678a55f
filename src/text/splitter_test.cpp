#include "text/splitter.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "text/random_text.h"
#include "text/unicode.h"

namespace trit {
namespace {

using Words = std::vector<std::string>;

Words split(std::string_view pattern, std::string_view text) {
  Words words;
  Splitter(std::string(pattern), "test").split(text, [&](std::string_view w) {
    words.emplace_back(w);
  });
  return words;
}

// `text` without the characters that PCRE2's Unicode 14 does not know.
std::string assigned(const std::string& text) {
  static const Splitter unknown("\\p{Cn}", "test");
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    const std::string one = text.substr(i, c.bytes);
    i += c.bytes;
    size_t parts = 0;  // "x" beside a match is a part of its own
    unknown.split("x" + one, [&](std::string_view) { ++parts; });
    if (parts == 1) result += one;
  }
  return result;
}

TEST(Splitter, Llama3Pattern) {
  EXPECT_EQ(split(kLlama3Pattern, "I'll see 12345 dogs'S!\r\n\n x"),
            (Words{"I", "'ll", " see", " ", "123", "45", " dogs", "'S", "!\r\n\n", " x"}));
  EXPECT_EQ(split(kLlama3Pattern, "a   b"), (Words{"a", "  ", " b"}));
  EXPECT_EQ(split(kLlama3Pattern, "été 日本"), (Words{"été", " 日本"}));
}

TEST(Splitter, Gpt2Pattern) {
  EXPECT_EQ(split(kGpt2Pattern, "I'll see 12345 dogs'S!\n\n x"),
            (Words{"I", "'ll", " see", " 12345", " dogs", "'", "S", "!", "\n\n", " x"}));
}

TEST(Splitter, Qwen2Pattern) {
  EXPECT_EQ(split(kQwen2Pattern, "I'LL see 123 dogs!\r\n\n x"),
            (Words{"I", "'LL", " see", " ", "1", "2", "3", " dogs", "!\r\n\n", " x"}));
}

// A group around a pattern hides it from the hand-written scans. Characters that one of the two
// libraries does not know yet are left out.
TEST(Splitter, ScansEqualTheirRegularExpressions) {
  Rng rng(3);
  for (const std::string_view pattern : {kLlama3Pattern, kQwen2Pattern, kGpt2Pattern}) {
    const std::string expression = fmt::format("(?:{})", pattern);
    const Splitter scan(std::string(pattern), "test"), regex(expression, "test");
    for (int i = 0; i < 20000; ++i) {
      const std::string text = assigned(random_text(rng, 30));
      Words scanned, matched;
      scan.split(text, [&](std::string_view w) { scanned.emplace_back(w); });
      regex.split(text, [&](std::string_view w) { matched.emplace_back(w); });
      ASSERT_EQ(scanned, matched) << pattern;
    }
  }
}

TEST(Splitter, ClassesEqualThoseOfRegularExpressions) {
  const Splitter letter("\\p{L}+", "test"), number("\\p{N}+", "test"), space("\\s+", "test");
  const auto matches = [](const Splitter& one, const std::string& c) {
    size_t parts = 0;  // U+0001, which is in no class, beside a match is a part of its own
    one.split("\1" + c, [&](std::string_view) { ++parts; });
    return parts == 2;
  };
  for (uint32_t code = 0x20; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    const std::string c = utf8(code);
    if (assigned(c).empty()) continue;
    const CharacterClass expected = matches(letter, c)   ? CharacterClass::kLetter
                                    : matches(number, c) ? CharacterClass::kNumber
                                    : matches(space, c)  ? CharacterClass::kSpace
                                                         : CharacterClass::kOther;
    ASSERT_EQ(class_of(code), expected) << code;
  }
}

TEST(Splitter, WhatDoesNotMatchIsAWordToo) {
  EXPECT_EQ(split("\\d+", "ab12cd"), (Words{"ab", "12", "cd"}));
  EXPECT_EQ(split("x*", "abxx"), (Words{"ab", "xx"}));
}

// U+180E lost White_Space in Unicode 6.3; U+0085 has it.
TEST(Splitter, SpaceMeansUnicodeWhiteSpace) {
  EXPECT_EQ(split("\\s+", "a\u180Eb\u0085\u3000c"), (Words{"a\u180Eb", "\u0085\u3000", "c"}));
  EXPECT_EQ(split("[^\\S]+|\\S", "a \\s"), (Words{"a", " ", "\\", "s"}));
}

TEST(Splitter, LongWordsAndLongSpaces) {
  const std::string letters(1 << 20, 'x'), spaces(1 << 20, ' ');
  EXPECT_EQ(split(kLlama3Pattern, letters + spaces + "y"),
            (Words{letters, spaces.substr(1), " y"}));
}

TEST(Splitter, BadPatternsAreErrors) {
  const auto error_of = [](std::string pattern, std::string_view text) -> std::string {
    try {
      Splitter(std::move(pattern), "t.json").split(text, [](std::string_view) {});
      return "none";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(error_of("a(b", ""),
            "t.json: pre-tokenizer pattern 'a(b': missing closing parenthesis (at 3)");
  EXPECT_NE(error_of(std::string(1 << 17, 'a'), "").find("more than 65536"), std::string::npos);
  // There are exponentially many ways to fail.
  EXPECT_EQ(error_of("(a|aa|aaa)+[bc]$", std::string(200, 'a')),
            "pre-tokenizer pattern fails at byte 0 of the text: match limit exceeded");
  EXPECT_EQ(error_of("(?=ab\\K)", "ab").substr(0, 30), "t.json: pre-tokenizer pattern ");
}

}  // namespace
}  // namespace trit
