#pragma once
// Chat templates: from a conversation to the text that a model continues. They are written in Jinja; what
// is read here is the part of it that models use, with the settings of Hugging Face's transformers
// (trim_blocks, lstrip_blocks, break and continue, the generation tag, raise_exception, strftime_now,
// tojson), rendered to the same bytes as Python's jinja2 does.
//
// Known: text, {{ }}, comments, white space control; if, for (else, if, recursive, unpacking, loop.*),
// set (also of blocks and of attributes of namespaces), macro, call, filter, with, raw, break, continue,
// generation; all operators; slices; the filters, tests and methods of jinja_filters*.cpp, jinja_tests.cpp
// and jinja_methods.cpp. Anything else is refused with line and column: import, include, extends, block,
// autoescape; integers beyond 64 bits; names that are not ASCII.

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace trit {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatOptions {
  bool add_generation_prompt = true;  // end with what begins the assistant's answer
  std::string bos_token, eos_token;   // the strings of these tokens; empty: none
  OrderedJson tools;                  // a list of JSON schemas; null: none
  OrderedJson variables;              // more variables for the template: an object, or null
  std::function<std::tm()> clock;     // what strftime_now tells; absent: the local time
};

// A parsed template. Immutable; copies are cheap; rendering is thread-safe.
class ChatTemplate {
 public:
  // Throws Error "<where>:<line>:<column>: ..." for a syntax error or a construct that is not supported,
  // and when the source has more than a mebibyte or is not UTF-8.
  ChatTemplate(std::string_view source, std::string_view where);

  // Throws Error with line and column when the template refuses the conversation (raise_exception), an
  // operation fails, or it would use more than its share of time, memory (256 MiB) or text (64 MiB).
  std::string render(const std::vector<ChatMessage>& messages, const ChatOptions& options) const;
  // The same for messages with more than role and content: a list of objects.
  std::string render_messages(const OrderedJson& messages, const ChatOptions& options) const;

  const std::string& source() const;
  const std::string& where() const;

 private:
  struct Parsed;
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace trit
