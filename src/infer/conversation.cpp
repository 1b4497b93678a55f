#include "infer/conversation.h"

#include <algorithm>

#include "base/error.h"

namespace trit {
namespace {

std::string spelling(const Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? "" : tokenizer.token_bytes(id);
}

}  // namespace

Conversation::Conversation(Engine& engine, Tokenizer tokenizer, ChatTemplate chat_template,
                           OrderedJson variables)
    : engine_(engine), tokenizer_(std::move(tokenizer)), template_(std::move(chat_template)) {
  chat_.bos_token = spelling(tokenizer_, tokenizer_.bos_id());
  chat_.eos_token = spelling(tokenizer_, tokenizer_.eos_id());
  chat_.variables = std::move(variables);
  end_of_turn_ = find_end_of_turn();
}

std::string Conversation::rendered(const std::vector<ChatMessage>& messages,
                                   bool add_generation_prompt) const {
  ChatOptions options = chat_;
  options.add_generation_prompt = add_generation_prompt;
  return template_.render(messages, options);
}

// Renders a finished turn and looks at what stands behind the answer.
std::vector<int32_t> Conversation::find_end_of_turn() const {
  static constexpr std::string_view kAnswer = "xAnswerx";
  std::string text;
  try {
    text = rendered({{"user", "x"}, {"assistant", std::string(kAnswer)}}, false);
  } catch (const Error&) {
    return {};  // a template that wants more than that; the end-of-text token remains
  }
  const size_t place = text.rfind(kAnswer);
  if (place == std::string::npos) return {};
  size_t begin = place + kAnswer.size();
  while (begin < text.size() && (text[begin] == '\n' || text[begin] == ' ')) ++begin;
  const std::vector<int32_t> tokens =
      tokenizer_.encode(std::string_view(text).substr(begin), /*parse_special=*/true);
  if (tokens.empty() ||
      tokenizer_.spec().kinds[static_cast<size_t>(tokens[0])] == TokenKind::kNormal)
    return {};
  return {tokens[0]};
}

std::vector<int32_t> Conversation::prompt() const {
  std::vector<int32_t> tokens =
      tokenizer_.encode(rendered(messages_, true), /*parse_special=*/true);
  if (tokens.empty()) bad_input("{}: it makes no text of the conversation", template_.where());
  if (static_cast<int64_t>(tokens.size()) > context()) {
    bad_input(
        "the conversation has {} tokens, the context has room for {}; take something back or "
        "begin anew",
        tokens.size(), context());
  }
  return tokens;
}

Answer Conversation::answer(const GenerateOptions& options, const Show& show) {
  const std::vector<int32_t> tokens = prompt();
  GenerateOptions turn = options;
  turn.end_tokens.insert(turn.end_tokens.end(), end_of_turn_.begin(), end_of_turn_.end());
  turn.sampler.seed += answers_++;
  Answer answer;
  answer.report = generate(engine_, tokenizer_, tokens, turn, [&](std::string_view text) {
    answer.text += text;
    return show(text);
  });
  position_ = std::ssize(tokens) + answer.report.generated_tokens;
  return answer;
}

Answer Conversation::say(std::string_view text, const GenerateOptions& options, const Show& show) {
  const size_t before = messages_.size();
  messages_.push_back({"user", std::string(text)});
  try {
    Answer said = answer(options, show);
    messages_.push_back({"assistant", said.text});
    return said;
  } catch (const Error&) {
    messages_.resize(before);
    throw;
  }
}

Answer Conversation::regenerate(const GenerateOptions& options, const Show& show) {
  TRIT_CHECK(can_regenerate());
  const std::vector<ChatMessage> before = messages_;
  messages_.resize(last_user() + 1);
  try {
    Answer said = answer(options, show);
    messages_.push_back({"assistant", said.text});
    return said;
  } catch (const Error&) {
    messages_ = before;
    throw;
  }
}

size_t Conversation::last_user() const {
  for (size_t i = messages_.size(); i-- > 0;)
    if (messages_[i].role == "user") return i;
  return messages_.size();
}

void Conversation::set_system(std::string_view text) {
  if (!messages_.empty() && messages_[0].role == "system") messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", std::string(text)});
}

bool Conversation::undo() {
  const size_t place = last_user();
  if (place == messages_.size()) return false;
  messages_.resize(place);
  return true;
}

void Conversation::reset() {
  const bool system = !messages_.empty() && messages_[0].role == "system";
  messages_.resize(system ? 1 : 0);
}

OrderedJson Conversation::save() const {
  OrderedJson list = OrderedJson::array();
  for (const ChatMessage& message : messages_)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return {{"messages", std::move(list)}};
}

void Conversation::load(const Json& saved, std::string_view where) {
  if (!saved.is_object() || !saved.contains("messages") || !saved.at("messages").is_array())
    bad_input("{}: 'messages' is missing or no array", where);
  std::vector<ChatMessage> messages;
  for (const Json& entry : saved.at("messages")) {
    if (!entry.is_object()) bad_input("{}: 'messages' holds something else than objects", where);
    const std::string role = json_string(entry, "role", where);
    if (role != "system" && role != "user" && role != "assistant") {
      bad_input("{}: the role '{}' must be system, user or assistant", where, printable(role));
    }
    messages.push_back({role, json_string(entry, "content", where)});
  }
  messages_ = std::move(messages);
}

}  // namespace trit
