#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit {
namespace {

// The message of the Error that `call` throws.
template <class Call>
std::string message(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    return error.what();
  }
  return "no error";
}

std::string parse_error(std::string_view text) {
  return message([&] { parse_json(text, "a.json"); });
}

TEST(ParseJson, ReadsAllKindsOfValues) {
  const Json value =
      parse_json(R"({"a": [1, -2.5, true, null, "\u00e9"], "b": {"a": 0}})", "a.json");
  EXPECT_EQ(value["a"][0], 1);
  EXPECT_EQ(value["a"][1], -2.5);
  EXPECT_EQ(value["a"][4], "\xc3\xa9");
  EXPECT_EQ(value["b"]["a"], 0);
}

TEST(ParseJson, RefusesBadSyntaxOnOneLine) {
  EXPECT_EQ(parse_error("{\"a\": \n nul}"),
            "a.json: not valid JSON: syntax error while parsing value - invalid literal");
  for (const std::string_view bad :
       {"", " ", "{", "[1,]", "{\"a\":1,}", "1 2", "NaN", "'a'", "\"\xff\"", "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"", "\"\n\"", "1e999", "01", "[1]x", "\x00"}) {
    const std::string error = parse_error(bad);
    EXPECT_TRUE(error.starts_with("a.json: not valid JSON: ")) << bad << ": " << error;
    EXPECT_EQ(error.find('\n'), error.npos);
  }
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, LimitsTheDepth) {
  EXPECT_EQ(parse_error(nested(64)), "no error");
  EXPECT_EQ(parse_error(nested(65)), "a.json: JSON is nested deeper than 64 levels");
  EXPECT_EQ(parse_error(std::string(1'000'000, '[')),
            "a.json: JSON is nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  EXPECT_EQ(parse_error(objects), "a.json: JSON is nested deeper than 64 levels");
}

TEST(ParseJson, RefusesDuplicateKeys) {
  EXPECT_EQ(parse_error(R"({"a": 1, "b": {"c": 1, "\u0063": 2}})"),
            "a.json: JSON key \"c\" occurs twice in one object");
  EXPECT_EQ(parse_error(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]})"), "no error");
}

TEST(JsonFields, ReadsThem) {
  const Json object = parse_json(
      R"({"i": -3, "big": 18446744073709551615, "x": 1e4, "s": "text", "b": true, "n": null})",
      "f");
  EXPECT_EQ(json_int(object, "i", "f", -3, 3), -3);
  EXPECT_EQ(json_int_or(object, "i", "f", -3, 3, 9), -3);
  EXPECT_EQ(json_int_or(object, "n", "f", 0, 3, 9), 9);
  EXPECT_EQ(json_int_or(object, "missing", "f", 0, 3, 9), 9);
  EXPECT_EQ(json_number(object, "x", "f"), 10000.0);
  EXPECT_EQ(json_number(object, "i", "f"), -3.0);
  EXPECT_EQ(json_number_or(object, "missing", "f", 0.5), 0.5);
  EXPECT_EQ(json_string(object, "s", "f"), "text");
  EXPECT_EQ(json_string_or(object, "n", "f", "none"), "none");
  EXPECT_TRUE(json_bool_or(object, "b", "f", false));
  EXPECT_TRUE(json_bool_or(object, "missing", "f", true));
}

TEST(JsonFields, ErrorsNameFileFieldValueAndWhatIsRight) {
  const Json object = parse_json(
      R"({"i": 7, "big": 18446744073709551615, "x": 1.5, "s": "te\nxt", "o": {"a": 1}})", "f");
  const auto int_error = [&](const char* key) {
    return message([&] { json_int(object, key, "f", 0, 3); });
  };
  EXPECT_EQ(int_error("i"), "f: field \"i\" is 7, expected an integer in [0, 3]");
  EXPECT_EQ(int_error("x"), "f: field \"x\" is 1.5, expected an integer in [0, 3]");
  EXPECT_EQ(int_error("big"),
            "f: field \"big\" is 18446744073709551615, expected an integer in [0, 3]");
  EXPECT_EQ(int_error("none"), "f: field \"none\" is missing, expected an integer in [0, 3]");
  EXPECT_EQ(int_error("o"), "f: field \"o\" is object, expected an integer in [0, 3]");
  EXPECT_EQ(message([&] { json_number(object, "s", "f"); }),
            "f: field \"s\" is \"te\\x5cnxt\", expected a number");
  EXPECT_EQ(message([&] { json_string(object, "i", "f"); }),
            "f: field \"i\" is 7, expected a string");
  EXPECT_EQ(message([&] { json_bool_or(object, "i", "f", true); }),
            "f: field \"i\" is 7, expected true or false");
  EXPECT_EQ(message([&] { json_int(Json::array(), "i", "f", 0, 1); }),
            "f: expected a JSON object with a field \"i\", found array");
}

}  // namespace
}  // namespace trit
