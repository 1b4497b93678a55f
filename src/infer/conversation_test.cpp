#include "infer/conversation.h"

#include <gtest/gtest.h>

#include <list>

#include "base/error.h"
#include "infer/cpu_backend.h"
#include "model/checkpoint.h"
#include "text/train_bpe.h"

namespace trit {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>\n{% endfor %}"
    "{{ 'assistant:' if add_generation_prompt }}";

// A random model over a tokenizer of its own.
class ConversationTest : public testing::Test {
 protected:
  ConversationTest()
      : tokenizer(train_bpe([](const auto& document) { document("user: the cat sat. assistant:"); },
                            {.vocab_size = 270})),
        model(Model::random(config(), 5)) {
    options.max_tokens = 6;
    options.ignore_end = true;
    options.sampler.temperature = 0;
  }
  Config config() const {
    Config c = preset("nano");
    c.vocabulary = tokenizer.vocab_size();
    c.layers = 2;
    return c;
  }
  // With an engine of its own.
  Conversation talk(const char* source = kTemplate, int64_t context = 512) {
    engines.emplace_back(model.weights(), context);
    return Conversation(engines.back().engine, tokenizer, ChatTemplate(source, "template"));
  }
  static bool go_on(std::string_view) { return true; }

  struct OwnEngine {
    OwnEngine(const Weights& weights, int64_t context)
        : backend(weights, {.positions = context}), engine(backend, {.context = context}) {}
    CpuBackend backend;
    Engine engine;
  };
  Tokenizer tokenizer;
  Model model;
  GenerateOptions options;
  std::list<OwnEngine> engines;
};

// What the cache holds must not show: the second answer is that of a new conversation with the same past.
TEST_F(ConversationTest, OnlyNewTokensAreRunAndTheAnswerIsTheSame) {
  Conversation first = talk();
  const Answer one = first.say("the cat", options, go_on);
  EXPECT_EQ(one.report.reused_tokens, 0);
  EXPECT_GT(one.report.prompt_tokens, 0);
  const Answer two = first.say("sat", options, go_on);
  EXPECT_GE(two.report.reused_tokens, one.report.prompt_tokens);

  Conversation second = talk();
  second.load(Json::parse(first.save().dump()), "saved");
  ASSERT_TRUE(second.undo());
  const Answer again = second.say("sat", options, go_on);
  EXPECT_EQ(again.report.reused_tokens, 0);
  EXPECT_EQ(again.text, two.text);
  EXPECT_EQ(again.report.prompt_tokens, two.report.reused_tokens + two.report.prompt_tokens);
  EXPECT_EQ(second.messages().size(), 4u);
}

TEST_F(ConversationTest, FindsTheTokenThatEndsATurn) {
  EXPECT_EQ(talk().end_of_turn(), std::vector<int32_t>{*tokenizer.find("<|endoftext|>")});
  EXPECT_TRUE(talk("{% for m in messages %}{{ m.content }}\n{% endfor %}").end_of_turn().empty());
  EXPECT_TRUE(talk("{{ raise_exception('no') }}").end_of_turn().empty());
}

TEST_F(ConversationTest, AnAnswerCanBeStoppedTakenBackAndReplaced) {
  Conversation chat = talk();
  EXPECT_FALSE(chat.can_regenerate());
  EXPECT_FALSE(chat.undo());
  const Answer stopped = chat.say("the", options, [](std::string_view) { return false; });
  EXPECT_EQ(stopped.report.reason, StopReason::kInterrupted);
  EXPECT_EQ(chat.messages().back().role, "assistant");
  EXPECT_EQ(chat.messages().back().content, stopped.text);

  options.sampler.temperature = 5;
  options.max_tokens = 20;
  const std::string before = chat.say("cat", options, go_on).text;
  const Answer other = chat.regenerate(options, go_on);
  EXPECT_NE(other.text, before);
  EXPECT_EQ(chat.messages().size(), 4u);
  EXPECT_TRUE(chat.undo());
  EXPECT_EQ(chat.messages().size(), 2u);
}

TEST_F(ConversationTest, TheSystemMessageStandsFirstAndSurvivesAReset) {
  Conversation chat = talk();
  chat.say("the", options, go_on);
  chat.set_system("sat");
  EXPECT_EQ(chat.messages()[0].role, "system");
  chat.set_system("the cat");
  EXPECT_EQ(chat.messages().size(), 3u);
  chat.reset();
  ASSERT_EQ(chat.messages().size(), 1u);
  EXPECT_EQ(chat.messages()[0].content, "the cat");
  chat.set_system("");
  EXPECT_TRUE(chat.messages().empty());
}

TEST_F(ConversationTest, WhatFailsLeavesTheMessagesAsTheyWere) {
  Conversation small = talk(kTemplate, 64);
  small.say("the", options, go_on);
  EXPECT_THROW(small.say(std::string(500, 'x'), options, go_on), Error);
  EXPECT_EQ(small.messages().size(), 2u);
  options.stop = {""};
  EXPECT_THROW(small.say("cat", options, go_on), Error);  // after the prompt was made
  options.stop = {};
  EXPECT_NO_THROW(small.say("cat", options, go_on));
  Conversation refused = talk("{{ raise_exception('No.') }}");
  EXPECT_THROW(refused.say("the", options, go_on), Error);
  EXPECT_TRUE(refused.messages().empty());
}

TEST_F(ConversationTest, LoadNamesWhatIsWrong) {
  Conversation chat = talk();
  for (const char* wrong :
       {"[]", "{}", R"({"messages": [1]})", R"({"messages": [{"role": "user"}]})",
        R"({"messages": [{"role": "robot", "content": "x"}]})"}) {
    EXPECT_THROW(chat.load(Json::parse(wrong), "file"), Error) << wrong;
  }
  EXPECT_TRUE(chat.messages().empty());
}

}  // namespace
}  // namespace trit
