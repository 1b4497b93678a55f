#include "bench/table.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace trit::bench {
namespace {

std::vector<OrderedJson> two_rows() {
  return {{{"test", "pp512"}, {"speed", 123.456}, {"spread", 1.25}, {"depth", 0}},
          {{"test", "a \"b\", c"}, {"speed", nullptr}, {"spread", 0.0}, {"depth", 4096}}};
}

TEST(Table, Markdown) {
  const Column columns[] = {{"test", "test"}, {"depth", "d"}, {"speed", "tok/s", 1, "spread"}};
  EXPECT_EQ(markdown(columns, two_rows()),
            "| test     |    d |       tok/s |\n"
            "| -------- | ---: | ----------: |\n"
            "| pp512    |    0 | 123.5 ± 1.2 |\n"
            "| a \"b\", c | 4096 |           - |\n");
}

TEST(Table, CsvQuotesStringsAsRfc4180HasIt) {
  EXPECT_EQ(csv(two_rows()),
            "test,speed,spread,depth\n"
            "\"pp512\",123.456,1.25,0\n"
            "\"a \"\"b\"\", c\",,0.0,4096\n");
  EXPECT_EQ(csv({}), "");
}

TEST(Table, JsonlIsOneObjectALine) {
  EXPECT_EQ(jsonl(two_rows()), R"({"test":"pp512","speed":123.456,"spread":1.25,"depth":0})"
                               "\n"
                               R"({"test":"a \"b\", c","speed":null,"spread":0.0,"depth":4096})"
                               "\n");
}

TEST(Table, Formats) {
  EXPECT_EQ(format_from("jsonl", "-o"), Format::kJsonl);
  EXPECT_THROW(format_from("sql", "-o"), Error);
}

}  // namespace
}  // namespace trit::bench
