#include "text/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace trit {
namespace {

TEST(ByteLevel, SpellsBytesAsGpt2Does) {
  EXPECT_EQ(to_byte_level("the"), "the");
  EXPECT_EQ(to_byte_level(" dog\n"), "\u0120dog\u010A");
  EXPECT_EQ(to_byte_level(std::string(1, '\0')), "\u0100");
  EXPECT_EQ(to_byte_level("\x7F\xAD\xFF"), "\u0121\u0143\u00FF");
}

TEST(ByteLevel, EveryByteComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(from_byte_level(to_byte_level(all)), all);
}

TEST(ByteLevel, OrderIsThatOfTheCharacters) {
  const auto& order = byte_level_order();
  EXPECT_EQ(order[0], '!');
  EXPECT_EQ(order[93], '~');
  EXPECT_EQ(order[94], 0xA1);
  EXPECT_EQ(order[188], 0x00);
  EXPECT_EQ(order[255], 0xAD);
  EXPECT_EQ(std::set<uint8_t>(order.begin(), order.end()).size(), 256u);
}

TEST(ByteLevel, RefusesOtherCharacters) {
  for (const char* text : {"a b", "tab\t", "\u0144", "日", "\u00AD", "\xC4", "\xC4x", "\xFF"}) {
    EXPECT_EQ(from_byte_level(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace trit
