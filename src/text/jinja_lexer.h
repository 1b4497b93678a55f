#pragma once
// Template source -> tokens, with trim_blocks and lstrip_blocks on, as Hugging Face's transformers set
// Jinja up.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trit::jinja {

struct Position {
  int line = 1, column = 1;  // the column counts characters
};

enum class TokenType : uint8_t {
  kText,           // between the tags, white space already removed
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,
  kInteger,
  kFloat,
  kString,    // the text holds what the literal means
  kOperator,  // the text is the operator
  kEnd,
};

struct Token {
  TokenType type;
  Position at;
  std::string text;
};

// Throws Error "<where>:<line>:<column>: ..." for what is no token; ends with one of type kEnd.
std::vector<Token> tokenize(std::string_view source, std::string_view where);

[[noreturn]] void syntax_error(std::string_view where, Position at, const std::string& message);

inline constexpr size_t kMaxSourceBytes = size_t{1} << 20;

}  // namespace trit::jinja
