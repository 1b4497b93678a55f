#pragma once
// A conversation with a model: messages and the template that makes them a prompt. What the engine's prefix cache
// has of the prompt is not run again.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/generate.h"
#include "text/chat_template.h"

namespace trit {

struct Answer {
  std::string text;
  GenerateReport report;
};

class Conversation {
 public:
  // The engine must outlive it. `variables` are the template's: an object, or null.
  Conversation(Engine& engine, Tokenizer tokenizer, ChatTemplate chat_template,
               OrderedJson variables = {});

  using Show = std::function<bool(std::string_view)>;  // returns false to end the answer

  // Adds what the user says and the model's answer, which also goes to `show` while it comes. An answer
  // that `show` ends stays as far as it came. Ends at the tokenizer's end-of-text token and at
  // end_of_turn(). Throws Error, and leaves the messages as they were, when the template refuses them or
  // they do not fit in the context.
  Answer say(std::string_view text, const GenerateOptions& options, const Show& show);
  // Another answer in place of the last one; false when there is none. The seed is another one.
  bool can_regenerate() const { return last_user() != messages_.size(); }
  Answer regenerate(const GenerateOptions& options, const Show& show);

  void set_system(std::string_view text);  // the first message; empty: none
  bool
  undo();  // takes back the last thing the user said and what followed; false: nothing to take back
  void reset();  // forgets all but the system message

  const std::vector<ChatMessage>& messages() const { return messages_; }
  // {"messages": [{"role", "content"}, ...]}. load() throws Error naming `where` for anything else.
  OrderedJson save() const;
  void load(const Json& saved, std::string_view where);

  // Special tokens that the template puts behind an answer, such as <|eot_id|> or <|im_end|>.
  const std::vector<int32_t>& end_of_turn() const { return end_of_turn_; }
  int64_t context() const { return engine_.context(); }
  int64_t position() const { return position_; }  // tokens of the last prompt and its answer

 private:
  Answer answer(const GenerateOptions& options, const Show& show);
  std::vector<int32_t> prompt() const;
  std::string rendered(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  std::vector<int32_t> find_end_of_turn() const;
  size_t last_user()
      const;  // place of the user's last message; messages_.size() when there is none

  Engine& engine_;
  Tokenizer tokenizer_;
  ChatTemplate template_;
  ChatOptions chat_;
  int64_t position_ = 0;
  std::vector<ChatMessage> messages_;
  std::vector<int32_t> end_of_turn_;
  uint64_t answers_ = 0;  // that were asked for: each has a seed of its own
};

}  // namespace trit
