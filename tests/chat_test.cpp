// trit chat as a user runs it: lines from a file, answers from a tiny model.

#include "base/json.h"
#include "tests/story.h"

namespace trit {
namespace {

class Chat : public Story {
 protected:
  static Outcome chat(const std::string& lines, const std::vector<std::string>& more = {},
                      const std::string& model = "model.gguf") {
    write_text(directory() / "lines.txt", lines);
    write_text(directory() / "plain.jinja",
               "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}");
    std::vector<std::string> arguments = {"chat", model, "--temperature", "0", "-n", "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process(directory(), arguments, {}, 0, "lines.txt").wait();
  }
  static Outcome plain(const std::string& lines, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--template", "plain.jinja"});
    return chat(lines, more);
  }
  static Json saved(const std::string& file) {
    return parse_json(read_text(directory() / file), file)["messages"];
  }
};

TEST_F(Chat, EveryLineIsATurn) {
  const Outcome outcome = plain("The king went\nThe cat\n/save saved.json\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const Json messages = saved("saved.json");
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0]["content"], "The king went");
  EXPECT_EQ(messages[2]["content"], "The cat");
  EXPECT_EQ(messages[1]["role"], "assistant");
  EXPECT_EQ(outcome.out, messages[1]["content"].get<std::string>() + "\n" +
                             messages[3]["content"].get<std::string>() + "\n");
}

// What the cache of the first conversation held makes no difference to what a new program says.
TEST_F(Chat, ASavedConversationGoesOnAsItWouldHave) {
  ASSERT_EQ(plain("The king\nThere it met\n/save whole.json\n").code, 0);
  const Outcome again = plain("/load whole.json\n/undo\nThere it met\n/save again.json\n/quit\nno");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(saved("again.json"), saved("whole.json"));
}

TEST_F(Chat, CommandsChangeTheConversation) {
  const Outcome outcome = plain(
      "/system They sat\nThe dog\n/regenerate\n//slash\n/save a.json\n/undo\n/save b.json\n/reset\n"
      "/save c.json\n/stats\n/help\n",
      {"--system", "told before"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json all = saved("a.json");
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0]["content"], "They sat");
  EXPECT_EQ(all[3]["content"], "/slash");
  EXPECT_EQ(saved("b.json").size(), 3u);
  EXPECT_EQ(saved("c.json").size(), 1u);
  for (const char* word : {"tok/s", "context", "/regenerate"})
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word;
}

TEST_F(Chat, MistakesAreNamed) {
  const auto error = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_NE(
      error(chat("x\n")).find("no chat template; give one with --template FILE, or let trit run"),
      std::string::npos);
  EXPECT_NE(error(plain("/dance\n")).find("'/dance' is no command"), std::string::npos);
  EXPECT_NE(error(plain("/undo\n")).find("nothing was said"), std::string::npos);
  EXPECT_NE(error(plain("/load nowhere.json\n")).find("nowhere.json"), std::string::npos);
  EXPECT_NE(error(plain("x\n", {"--template-variables", "[1]"})).find("no JSON object"),
            std::string::npos);
  write_text(directory() / "broken.jinja", "ab\n{% import 'x' %}");
  EXPECT_NE(error(chat("x\n", {"--template", "broken.jinja"}))
                .find("broken.jinja:2:4: tag 'import' is not supported"),
            std::string::npos);
}

TEST_F(Chat, ConvertTakesTheTemplateAlong) {
  std::filesystem::copy(directory() / "run/checkpoint", directory() / "chatty",
                        std::filesystem::copy_options::recursive);
  write_text(directory() / "chatty/chat_template.jinja",
             "{% for m in messages %}{{ before ~ m.content }}{% endfor %}");
  expect_success(trit({"convert", "chatty", "chatty.gguf"}));
  const std::vector<std::string> more = {"--prompt", "king", "--template-variables",
                                         R"({"before": "The "})"};
  const Outcome directory = chat("", more, "chatty"), file = chat("", more, "chatty.gguf");
  ASSERT_EQ(directory.code, 0) << directory.err;
  ASSERT_EQ(file.code, 0) << file.err;
  EXPECT_EQ(file.out, directory.out);
  EXPECT_NE(file.out, "\n");
}

}  // namespace
}  // namespace trit
