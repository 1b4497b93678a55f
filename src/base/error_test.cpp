#include "base/error.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

TEST(Error, CarriesMessageAndExitCode) {
  try {
    bad_input("{}: field {} is {}, expected 1 to {}", "config.json", "layers", 0, 512);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "config.json: field layers is 0, expected 1 to 512");
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
  }
  try {
    failure("disk full");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kFailure);
  }
}

TEST(ErrorDeathTest, BrokenInvariantNamesItself) {
  EXPECT_DEATH(TRIT_CHECK(1 + 1 == 3), "error_test.cpp:[0-9]+: broken invariant: 1 \\+ 1 == 3");
}

TEST(Printable, EscapesWhatIsNotPlainText) {
  EXPECT_EQ(printable("plain text"), "plain text");
  EXPECT_EQ(printable("a\nb\x1b[31m\xff\\"), "a\\x0ab\\x1b[31m\\xff\\x5c");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, CutsAtEightyCharacters) {
  EXPECT_EQ(printable(std::string(77, 'x')), std::string(77, 'x'));
  EXPECT_EQ(printable(std::string(500, 'x')), std::string(77, 'x') + "...");
  EXPECT_LE(printable(std::string(500, '\n')).size(), 80u);
}

}  // namespace
}  // namespace trit
