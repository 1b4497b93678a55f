#include "text/utf8.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit {
namespace {

using namespace std::string_literals;

TEST(Utf8, ValidPrefixStopsAtTheFirstBrokenByte) {
  EXPECT_EQ(valid_utf8_prefix(""), 0u);
  EXPECT_EQ(valid_utf8_prefix("plain ASCII of more than eight bytes"), 36u);
  EXPECT_EQ(valid_utf8_prefix("é日🐕\xF4\x8F\xBF\xBF"), 13u);
  EXPECT_EQ(valid_utf8_prefix("abcdefgh\x80"), 8u);
  EXPECT_EQ(valid_utf8_prefix("a\xC0\xAF"), 1u);         // overlong
  EXPECT_EQ(valid_utf8_prefix("ab\xE0\x9F\xBF"), 2u);    // overlong
  EXPECT_EQ(valid_utf8_prefix("\xED\xA0\x80"), 0u);      // surrogate
  EXPECT_EQ(valid_utf8_prefix("\xF4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(valid_utf8_prefix("x\xF0\x9F\x90"), 1u);     // cut off
}

TEST(Utf8, CheckNamesPlaceAndByte) {
  try {
    check_utf8("abc\xFFxyz", "story.txt:7");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "story.txt:7: invalid UTF-8 at byte 3 (0xFF); text must be UTF-8");
  }
}

// Tables 3-8 to 3-11 of The Unicode Standard, version 15, section 3.9.
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  const auto replaced = [](std::string bytes) { return take_utf8(bytes, true); };
  EXPECT_EQ(replaced("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replaced("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, HoldsBackACharacterThatMayBeCompleted) {
  std::string bytes = "a\xF0\x9F";
  EXPECT_EQ(take_utf8(bytes, false), "a");
  bytes += "\x90";
  EXPECT_EQ(take_utf8(bytes, false), "");
  bytes += "\x95!";
  EXPECT_EQ(take_utf8(bytes, false), "🐕!");
  bytes = "\xF0\x9F";
  EXPECT_EQ(take_utf8(bytes, true), "\xEF\xBF\xBD");
  EXPECT_TRUE(bytes.empty());
}

}  // namespace
}  // namespace trit
