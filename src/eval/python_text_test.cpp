#include "eval/python_text.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

// Expected values are CPython's.
TEST(PythonText, Strips) {
  EXPECT_EQ(python_strip(" \t\n a b \r\n"), "a b");
  EXPECT_EQ(python_lstrip("\u00a0\u2003x "), "x ");
  EXPECT_EQ(python_rstrip("x\u0085\u001f\u3000"), "x");
  EXPECT_EQ(python_strip("\u200bx\u200b"), "\u200bx\u200b");  // zero width is no space
  EXPECT_EQ(python_strip("  "), "");
}

TEST(PythonText, Capitalizes) {
  EXPECT_EQ(python_capitalize("she Goes HOME"), "She goes home");
  EXPECT_EQ(python_capitalize("élan ÉTÉ"), "Élan été");
  EXPECT_EQ(python_capitalize("ǆ"), "ǅ");  // title case, not upper case
  EXPECT_EQ(python_capitalize(""), "");
}

TEST(PythonText, CountsAndReplaces) {
  EXPECT_EQ(python_length("Łódź 日本"), 7);
  EXPECT_EQ(python_replace("a    b", "  ", " "), "a  b");
  EXPECT_EQ(python_replace("x [title] y [title]", " [title]", ". "), "x.  y. ");
  EXPECT_EQ(count_words("  the king\u2003of\n\nSpain "), 4);
  EXPECT_EQ(count_words(""), 0);
  EXPECT_EQ(count_pieces("a b  c"), 3);
  EXPECT_EQ(count_pieces(" a b\n"), 4);
  EXPECT_EQ(count_pieces(""), 1);
  EXPECT_EQ(count_pieces(" \n"), 2);
}

}  // namespace
}  // namespace trit
