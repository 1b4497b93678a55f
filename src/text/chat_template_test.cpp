// Rendered texts against those of Python's jinja2, made by tools/make_chat_fixtures.py.

#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace trit {
namespace {

// Friday 2024-07-26 12:34:56, the time at which the fixtures were made.
std::tm fixture_time() {
  std::tm time{};
  time.tm_year = 124, time.tm_mon = 6, time.tm_mday = 26;
  time.tm_hour = 12, time.tm_min = 34, time.tm_sec = 56;
  time.tm_wday = 5, time.tm_yday = 207;
  return time;
}

std::string rendered(const std::string& source, const OrderedJson& context) {
  ChatOptions options;
  options.add_generation_prompt = context.value("add_generation_prompt", false);
  options.bos_token = context.value("bos_token", "");
  options.eos_token = context.value("eos_token", "");
  options.tools = context.value("tools", OrderedJson());
  options.clock = fixture_time;
  options.variables = OrderedJson::object();
  for (const auto& [name, value] : context.items()) {
    const bool own = name == "messages" || name == "tools" || name == "add_generation_prompt" ||
                     name.ends_with("s_token");
    if (!own) options.variables[name] = value;
  }
  return ChatTemplate(source, "template")
      .render_messages(context.value("messages", OrderedJson::array()), options);
}

std::string rendered(const std::string& source) { return rendered(source, OrderedJson::object()); }

std::string error_of(const std::string& source,
                     const OrderedJson& context = OrderedJson::object()) {
  try {
    return "no error, but: " + rendered(source, context);
  } catch (const Error& error) {
    return error.what();
  }
}

OrderedJson fixture(const std::string& name) {
  return OrderedJson::parse(
      read_text(Path(TRIT_SOURCE_DIR) / "src/text/testdata/chat" / (name + ".json")));
}

void expect_like_jinja2(const std::string& name) {
  const OrderedJson all = fixture(name);
  ASSERT_GT(all["cases"].size(), 30u);
  for (const OrderedJson& one : all["cases"]) {
    const auto source = all["templates"][one["template"].get<size_t>()].get<std::string>();
    const OrderedJson& variables = all["contexts"][one["context"].get<size_t>()];
    SCOPED_TRACE(one["name"].get<std::string>() + ": " + source);
    if (one.contains("expected")) {
      EXPECT_EQ(rendered(source, variables), one["expected"].get<std::string>());
    } else {
      EXPECT_TRUE(error_of(source, variables).starts_with("template:")) << one["error"];
    }
  }
}

TEST(ChatTemplate, ModelsLikeJinja2) { expect_like_jinja2("models"); }
TEST(ChatTemplate, ConstructsLikeJinja2) { expect_like_jinja2("constructs"); }
TEST(ChatTemplate, RandomTemplatesLikeJinja2) { expect_like_jinja2("random"); }

TEST(ChatTemplate, PublishedLlama3) {
  const char* set = std::getenv("TRIT_DATA_DIR");
  const Path data = set != nullptr ? set : TRIT_SOURCE_DIR "/../shared";
  const Path file = data / "data/tokenizers/llama3-tokenizer_config.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto source = OrderedJson::parse(read_text(file))["chat_template"].get<std::string>();
  const OrderedJson context = {
      {"messages",
       {{{"role", "system"}, {"content", " Be brief. "}}, {{"role", "user"}, {"content", "Hi"}}}},
      {"bos_token", "<|begin_of_text|>"}};
  EXPECT_EQ(rendered(source, context),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatTemplate, NamesLineAndColumn) {
  EXPECT_EQ(error_of("a\n {% include 'x' %}"), "template:2:5: tag 'include' is not supported");
  EXPECT_EQ(error_of("{{ 1|urlize }}"), "template:1:6: filter 'urlize' is not supported");
  EXPECT_EQ(error_of("{{ 1 is escaped }}"), "template:1:9: test 'escaped' is not supported");
  EXPECT_EQ(error_of("é{{ f(*a) }}"), "template:1:7: arguments with '*' are not supported");
  EXPECT_EQ(error_of("{{ 'a'.zfill(3) }}"),
            "template:1:7: the method 'zfill' of strings is not supported");
  EXPECT_EQ(error_of("\n\n{{ 1 + + }}"), "template:3:10: expected an expression, found '}}'");
  EXPECT_EQ(error_of("x{% if 1 %}\ny"), "template:2:2: the template ends; 'endif' is missing");
  EXPECT_EQ(error_of("{{ joiner() }}"), "template:1:4: 'joiner' is not supported");
  EXPECT_EQ(error_of("{{ missing.x }}"), "template:1:11: 'missing' is undefined");
  EXPECT_EQ(error_of("{{ raise_exception('No\nsystem!') }}"), "template:1:19: No system!");
}

TEST(ChatTemplate, HostileTemplatesEndInOrder) {
  const std::string huge = "{{ 'x' * 1000000000 }}";
  EXPECT_NE(error_of(huge).find("too much text"), std::string::npos);
  EXPECT_NE(error_of("{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(99) %}"
                     "{% set n.s = n.s + n.s %}{% endfor %}")
                .find("too much text"),
            std::string::npos);
  const std::string loops =
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
  EXPECT_NE(error_of(loops).find("1:"), std::string::npos);
  EXPECT_NE(error_of("{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}").find("longer than"),
            std::string::npos);
  EXPECT_NE(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").find("too deeply"),
            std::string::npos);
  EXPECT_NE(error_of("{% set n = namespace(l=[]) %}{% for i in range(999) %}{% set n.l = [n.l] %}"
                     "{% endfor %}")
                .find("nested more than"),
            std::string::npos);
  using Pair = std::pair<std::string, std::string>;
  for (const auto& [open, close] : {Pair{"(", ")"}, Pair{"[", "]"}, Pair{"not ", ""}, Pair{"-", ""},
                                    Pair{"{1:", "}"}, Pair{"x[", "]"}, Pair{"f(", ")"}}) {
    std::string nested;
    for (int i = 0; i < 50000; ++i) nested += open;
    nested += "1";
    for (int i = 0; i < 50000; ++i) nested += close;
    EXPECT_NE(error_of("{{ " + nested + " }}").find("nested more than"), std::string::npos) << open;
  }
  std::string sum = "{{ 1";
  for (int i = 0; i < 100000; ++i) sum += "+1";
  EXPECT_NE(error_of(sum + " }}").find("nested more than"), std::string::npos);
  EXPECT_NE(error_of(std::string(2'000'000, 'x')).find("at most"), std::string::npos);
  EXPECT_NE(error_of("\xff").find("UTF-8"), std::string::npos);
}

// Namespaces and macros may hold each other in circles; the address sanitizer's build sees what is left.
TEST(ChatTemplate, CirclesAreFreed) {
  EXPECT_EQ(rendered("{% set n = namespace() %}{% set n.me = [n] %}"
                     "{% macro f() %}{{ n.me|length }}{% endmacro %}{% set n.f = f %}{{ n.f() }}"),
            "1");
  EXPECT_EQ(rendered("{% set n = namespace() %}{% for i in [1] recursive %}{% set n.loop = loop %}"
                     "{% endfor %}{{ n.loop.index }}"),
            "1");
}

TEST(ChatTemplate, CopiesShareTheTree) {
  const ChatTemplate original(
      "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
      "{{ 'A:' if add_generation_prompt }}",
      "here");
  const ChatTemplate copy = original;
  EXPECT_EQ(copy.render({{"user", "x"}, {"assistant", "y"}}, {}), "user:x;assistant:y;A:");
  EXPECT_EQ(copy.where(), "here");
}

}  // namespace
}  // namespace trit
