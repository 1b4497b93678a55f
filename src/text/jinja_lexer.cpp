#include "text/jinja_lexer.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace trit::jinja {

void syntax_error(std::string_view where, Position at, const std::string& message) {
  bad_input("{}:{}:{}: {}", where, at.line, at.column, message);
}

namespace {

// Line ends become \n, and one at the very end goes.
std::string normalise(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_decimal(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string source, std::string_view where) : source_(std::move(source)), where_(where) {}
  std::vector<Token> run();

 private:
  // The tag that opens at pos_: '{', its kind, and the sign behind it.
  struct Opening {
    char kind;
    char sign;
  };
  [[noreturn]] void fail(const std::string& message) const { syntax_error(where_, at_, message); }
  bool see(std::string_view text) const { return rest().starts_with(text); }
  std::string_view rest() const { return std::string_view(source_).substr(pos_); }
  void advance(size_t bytes);
  void skip_space();
  void push(TokenType type, Position at, std::string text = "") {
    tokens_.push_back({type, at, std::move(text)});
  }
  void text_until_tag();
  void push_text(std::string_view text, Position at, Opening opening);
  void comment();
  bool raw(Opening opening);
  bool end_of_block();
  void inside(bool block);
  void token();
  void name();
  void number();
  void string();
  void escape(std::string& out);
  char32_t hex(size_t digits);
  void bracket(char c);

  std::string source_;
  std::string_view where_;
  size_t pos_ = 0;
  Position at_;
  bool line_starting_ = true;
  std::string open_brackets_;  // the closing ones that are still to come
  std::vector<Token> tokens_;
};

void Lexer::advance(size_t bytes) {
  for (const size_t end = std::min(pos_ + bytes, source_.size()); pos_ < end; ++pos_) {
    if (source_[pos_] == '\n') {
      ++at_.line;
      at_.column = 1;
    } else if ((static_cast<uint8_t>(source_[pos_]) & 0xC0) != 0x80) {
      ++at_.column;
    }
  }
}

void Lexer::skip_space() {
  while (pos_ < source_.size() && is_space(character_at(source_, pos_)))
    advance(character_length(source_, pos_));
}

std::vector<Token> Lexer::run() {
  while (pos_ < source_.size()) text_until_tag();
  push(TokenType::kEnd, at_);
  return std::move(tokens_);
}

// What stands before a tag loses its white space to a '-', and its indentation to a block that begins
// the line.
void Lexer::push_text(std::string_view text, Position at, Opening opening) {
  if (opening.sign == '-') {
    text = strip(text, std::nullopt, false, true);
  } else if (opening.sign != '+' && opening.kind != '{') {
    const size_t line = text.rfind('\n') + 1;  // 0 when there is no line end
    if ((line > 0 || line_starting_) && strip(text.substr(line), std::nullopt, true, false).empty())
      text = text.substr(0, line);
  }
  if (!text.empty()) push(TokenType::kText, at, std::string(text));
}

void Lexer::text_until_tag() {
  size_t tag = pos_;
  while (tag < source_.size() &&
         !(source_[tag] == '{' && tag + 1 < source_.size() &&
           std::string_view("{%#").find(source_[tag + 1]) != std::string_view::npos))
    ++tag;
  const std::string text = source_.substr(pos_, tag - pos_);
  const Position at = at_;
  advance(tag - pos_);
  if (pos_ == source_.size()) {
    if (!text.empty()) push(TokenType::kText, at, text);
    return;
  }
  const char sign = pos_ + 2 < source_.size() ? source_[pos_ + 2] : ' ';
  const Opening opening{source_[pos_ + 1], sign == '-' || sign == '+' ? sign : ' '};
  push_text(text, at, opening);
  const Position tag_at = at_;
  advance(opening.sign == ' ' ? 2 : 3);
  if (opening.kind == '#') return comment();
  if (opening.kind == '%' && raw(opening)) return;
  push(opening.kind == '%' ? TokenType::kBlockBegin : TokenType::kVariableBegin, tag_at);
  inside(opening.kind == '%');
}

void Lexer::comment() {
  const size_t end = source_.find("#}", pos_);
  if (end == std::string::npos) fail("the comment that begins here has no end; '#}' is missing");
  const char sign = end > pos_ ? source_[end - 1] : ' ';
  advance(end - pos_ + 2);
  line_starting_ = false;
  if (sign == '-') {
    const size_t before = pos_;
    skip_space();
    line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
  } else if (sign != '+' && see("\n")) {
    advance(1);
    line_starting_ = true;
  }
}

// At the end of a block: passes it, the white space that '-' takes, or one line end.
bool Lexer::end_of_block() {
  const size_t sign = see("-%}") || see("+%}") ? 1 : 0;
  if (!rest().substr(std::min(sign, rest().size())).starts_with("%}")) return false;
  const char kind = sign == 1 ? source_[pos_] : ' ';
  advance(sign + 2);
  if (kind == '-') skip_space();
  if (kind == ' ' && see("\n")) advance(1);
  line_starting_ = source_[pos_ - 1] == '\n';
  return true;
}

// {% raw %} ... {% endraw %}, when that is what begins here.
bool Lexer::raw(Opening) {
  const size_t begin = pos_;
  const Position begin_at = at_;
  skip_space();
  const bool is_raw = see("raw");
  if (is_raw) advance(3);
  skip_space();
  if (!is_raw || !(see("-%}") || see("%}"))) {
    pos_ = begin;
    at_ = begin_at;
    return false;
  }
  const bool strips = see("-");
  advance(strips ? 3 : 2);
  if (strips) skip_space();
  line_starting_ = source_[pos_ - 1] == '\n';
  const size_t text_begin = pos_;
  const Position text_at = at_;
  for (size_t tag = source_.find("{%", pos_); tag != std::string::npos;
       tag = source_.find("{%", tag + 2)) {
    advance(tag - pos_);
    const std::string text = source_.substr(text_begin, tag - text_begin);
    advance(2);
    const char sign = see("-") || see("+") ? source_[pos_] : ' ';
    if (sign != ' ') advance(1);
    skip_space();
    if (!see("endraw")) continue;
    advance(6);
    skip_space();
    const bool before = line_starting_;
    if (!end_of_block()) continue;
    const bool after = std::exchange(line_starting_, before);
    push_text(text, text_at, {'%', sign});
    line_starting_ = after;
    return true;
  }
  syntax_error(where_, begin_at, "the raw block that begins here has no end; 'endraw' is missing");
}

void Lexer::inside(bool block) {
  const Position opened = at_;
  while (true) {
    skip_space();
    if (pos_ >= source_.size()) {
      syntax_error(
          where_, opened,
          fmt::format("the tag that begins here has no end; '{}' is missing", block ? "%}" : "}}"));
    }
    const Position at = at_;
    if (open_brackets_.empty()) {
      if (block && end_of_block()) return push(TokenType::kBlockEnd, at);
      if (!block && (see("}}") || see("-}}"))) {
        const bool strips = see("-");
        advance(strips ? 3 : 2);
        if (strips) skip_space();
        line_starting_ = source_[pos_ - 1] == '\n';
        return push(TokenType::kVariableEnd, at);
      }
    }
    token();
  }
}

void Lexer::token() {
  const char c = source_[pos_];
  if (is_name_start(c)) return name();
  if (is_decimal(c)) return number();
  if (c == '"' || c == '\'') return string();
  static constexpr std::string_view kOperators[] = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!see(op)) continue;
    bracket(c);
    push(TokenType::kOperator, at_, std::string(op));
    return advance(op.size());
  }
  const size_t length = character_length(source_, pos_);
  if (length > 1 && is_letter(character_at(source_, pos_)))
    fail(
        fmt::format("'{}' is not supported in a name; names are made of ASCII letters, digits "
                    "and '_'",
                    source_.substr(pos_, length)));
  fail(fmt::format("unexpected '{}'", printable(source_.substr(pos_, length))));
}

void Lexer::bracket(char c) {
  static constexpr std::string_view kOpen = "{([", kClose = "})]";
  if (const size_t place = kOpen.find(c); place != std::string_view::npos) {
    open_brackets_ += kClose[place];
  } else if (kClose.find(c) != std::string_view::npos) {
    if (open_brackets_.empty()) fail(fmt::format("unexpected '{}'", c));
    if (open_brackets_.back() != c)
      fail(fmt::format("unexpected '{}', expected '{}'", c, open_brackets_.back()));
    open_brackets_.pop_back();
  }
}

void Lexer::name() {
  size_t end = pos_;
  while (end < source_.size() && (is_name_start(source_[end]) || is_decimal(source_[end]))) ++end;
  push(TokenType::kName, at_, source_.substr(pos_, end - pos_));
  advance(end - pos_);
}

// Decimal integers and floats; an underscore may stand between digits.
void Lexer::number() {
  const auto digits = [&](size_t begin) {
    size_t end = begin;
    while (end < source_.size() &&
           (is_decimal(source_[end]) || (source_[end] == '_' && end > begin &&
                                         end + 1 < source_.size() && is_decimal(source_[end + 1]))))
      ++end;
    return end;
  };
  const auto digit_at = [&](size_t i) { return i < source_.size() && is_decimal(source_[i]); };
  size_t end = digits(pos_);
  bool real = false;
  // In `x.0.5` the second dot begins an index, not a fraction.
  const bool index = pos_ > 0 && source_[pos_ - 1] == '.';
  if (!index && end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
    end = digits(end + 1);
    real = true;
  }
  if (!index && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
    const size_t sign =
        end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
    if (digit_at(end + 1 + sign)) {
      end = digits(end + 1 + sign);
      real = true;
    }
  }
  std::string text = source_.substr(pos_, end - pos_);
  if (end < source_.size() && is_name_start(source_[end]))
    fail(fmt::format("'{}' is no number that is supported",
                     printable(source_.substr(pos_, end - pos_ + 1))));
  std::erase(text, '_');
  if (!real && text.size() > 1 && text[0] == '0' &&
      text.find_first_not_of('0') != std::string::npos)
    fail(fmt::format("the number '{}' begins with a zero", printable(text)));
  push(real ? TokenType::kFloat : TokenType::kInteger, at_, std::move(text));
  advance(end - pos_);
}

void Lexer::string() {
  const Position at = at_;
  const char quote = source_[pos_];
  advance(1);
  std::string text;
  while (true) {
    const size_t end = source_.find_first_of(quote == '"' ? "\"\\" : "'\\", pos_);
    if (end == std::string::npos)
      syntax_error(where_, at, "the string that begins here has no end");
    text += rest().substr(0, end - pos_);
    advance(end - pos_ + 1);
    if (source_[end] == quote) break;
    if (pos_ >= source_.size()) syntax_error(where_, at, "the string that begins here has no end");
    escape(text);
  }
  push(TokenType::kString, at, std::move(text));
}

char32_t Lexer::hex(size_t digits) {
  char32_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = pos_ < source_.size() ? source_[pos_] : ' ';
    const size_t digit = std::string_view("0123456789abcdef0123456789ABCDEF").find(c);
    if (digit == std::string_view::npos)
      fail(fmt::format("an escape wants {} hexadecimal digits", digits));
    value = value * 16 + static_cast<char32_t>(digit % 16);
    advance(1);
  }
  return value;
}

// Behind a backslash: Python's escapes.
void Lexer::escape(std::string& out) {
  const char c = source_[pos_];
  static constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeaning = "\\'\"\a\b\f\n\r\t\v";
  if (const size_t place = kLetters.find(c); place != std::string_view::npos) {
    out += kMeaning[place];
    return advance(1);
  }
  if (c == '\n') return advance(1);
  if (c >= '0' && c <= '7') {
    char32_t value = 0;
    for (int i = 0; i < 3 && pos_ < source_.size() && source_[pos_] >= '0' && source_[pos_] <= '7';
         ++i, advance(1))
      value = value * 8 + static_cast<char32_t>(source_[pos_] - '0');
    return append_character(out, value);
  }
  if (c == 'x' || c == 'u' || c == 'U') {
    advance(1);
    const char32_t value = hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      fail(fmt::format("U+{:04X} is no character", static_cast<uint32_t>(value)));
    return append_character(out, value);
  }
  if (c == 'N') fail("the escape \\N is not supported; write \\u and the number");
  out += '\\';  // an unknown escape stands for itself
  const size_t length = character_length(source_, pos_);
  out += rest().substr(0, length);
  advance(length);
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, std::string_view where) {
  if (source.size() > kMaxSourceBytes) {
    bad_input("{}: the template has {} bytes; at most {} are read", where, source.size(),
              kMaxSourceBytes);
  }
  check_utf8(source, where);
  return Lexer(normalise(source), where).run();
}

}  // namespace trit::jinja
