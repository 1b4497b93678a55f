#include "text/chat_template.h"

#include "base/error.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_json.h"
#include "text/jinja_syntax.h"

namespace trit {

struct ChatTemplate::Parsed {
  std::string source, where;
  jinja::Body body;
};

namespace {

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string_view where) {
  auto parsed = std::make_shared<Parsed>();
  parsed->where = where;
  parsed->source = source;
  parsed->body = jinja::parse(source, where);
  parsed_ = std::move(parsed);
}

const std::string& ChatTemplate::source() const { return parsed_->source; }
const std::string& ChatTemplate::where() const { return parsed_->where; }

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 const ChatOptions& options) const {
  OrderedJson list = OrderedJson::array();
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return render_messages(list, options);
}

std::string ChatTemplate::render_messages(const OrderedJson& messages,
                                          const ChatOptions& options) const {
  jinja::Budget budget;
  jinja::Variables variables;
  const auto add = [&](const std::string& name, const OrderedJson& json) {
    try {
      variables.values.emplace_back(name, jinja::from_json(budget, json));
    } catch (const jinja::Fault& what) {
      bad_input("{}: variable '{}': {}", where(), name, what.what());
    }
  };
  add("messages", messages);
  add("tools", options.tools);
  add("documents", nullptr);
  add("add_generation_prompt", options.add_generation_prompt);
  if (!options.bos_token.empty()) add("bos_token", options.bos_token);
  if (!options.eos_token.empty()) add("eos_token", options.eos_token);
  if (!options.variables.is_null()) {
    for (const auto& [name, value] : options.variables.items()) add(name, value);
  }
  variables.clock = options.clock ? options.clock : local_time;
  return jinja::run(parsed_->body, where(), variables, budget);
}

}  // namespace trit
