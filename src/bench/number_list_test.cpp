#include "bench/number_list.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit::bench {
namespace {

using Numbers = std::vector<int64_t>;

Numbers parse(std::string_view text) { return parse_numbers(text, "-p", 0, 4096); }

TEST(NumberList, NumbersAndRanges) {
  EXPECT_EQ(parse("512"), Numbers({512}));
  EXPECT_EQ(parse("1,2,8"), Numbers({1, 2, 8}));
  EXPECT_EQ(parse("1-4"), Numbers({1, 2, 3, 4}));
  EXPECT_EQ(parse("0-1024+512"), Numbers({0, 512, 1024}));
  EXPECT_EQ(parse("1-9*2,512"), Numbers({1, 2, 4, 8, 512}));
  EXPECT_EQ(parse("8,1,8"), Numbers({8, 1}));
}

TEST(NumberList, RefusesWhatIsNone) {
  for (const char* text :
       {"", ",", "1,", "many", "1.5", "-1", "4-1", "0-8*2", "1-8*1", "1-8+0", "1-", "5000",
        "1-5000", "99999999999999999999", "0-4000", "1 ", "1-4+1+1"}) {
    try {
      parse(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("-p: ", 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace trit::bench
