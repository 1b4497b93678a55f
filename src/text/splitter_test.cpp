#include "text/splitter.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

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
