#pragma once
// Inside the parser: tokens -> expressions (jinja_parse_expression.cpp) and statements
// (jinja_parse_statement.cpp). The grammar is that of Jinja 3.1.

#include <initializer_list>
#include <set>

#include "text/jinja_syntax.h"

namespace trit::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::string_view where)
      : tokens_(std::move(tokens)), where_(where) {}
  Body parse_template();

 private:
  // Tokens.
  const Token& look(size_t ahead = 0) const {
    return tokens_[std::min(place_ + ahead, tokens_.size() - 1)];
  }
  Token take() { return place_ + 1 < tokens_.size() ? tokens_[place_++] : tokens_.back(); }
  bool see_name(std::string_view name, size_t ahead = 0) const;
  bool see_operator(std::string_view op, size_t ahead = 0) const;
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view op);
  void expect_name(std::string_view name);
  void expect_operator(std::string_view op);
  std::string expect_identifier(const char* what);
  [[noreturn]] void fail(Position at, const std::string& message) const {
    syntax_error(where_, at, message);
  }
  [[noreturn]] void unexpected(const std::string& wanted) const;

  // Expressions.
  ExprPtr make(ExprKind kind, Position at, std::vector<ExprPtr> children = {},
               std::string name = "");
  ExprPtr expression(bool conditional = true);
  ExprPtr or_expression();
  ExprPtr and_expression();
  ExprPtr not_expression();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool filters = true);
  ExprPtr primary();
  ExprPtr constant(Position at, Value value);
  ExprPtr number(const Token& token);
  ExprPtr tuple_or_expression(bool conditional, bool in_parentheses, bool for_iterable = false);
  bool tuple_ends(bool for_iterable) const;
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr subscript_argument();
  ExprPtr call(ExprPtr node);
  ExprPtr filters(ExprPtr node);
  ExprPtr test(ExprPtr node);
  void arguments(Expr& node);
  void deepen(Expr& node, const ExprPtr& child) const;

  // Statements.
  Body body(std::initializer_list<std::string_view> ends);  // stops before the tag that ends it
  void end_block() { expect_end(TokenType::kBlockEnd, "'%}'"); }
  void expect_end(TokenType type, const std::string& wanted);
  Statement statement();
  Statement if_statement(Position at);
  Statement for_statement(Position at);
  Statement set_statement(Position at);
  Statement macro_statement(Position at);
  Statement call_statement(Position at);
  Statement filter_statement(Position at);
  Statement with_statement(Position at);
  Statement generation_statement(Position at);
  void parameters(Macro& macro);
  Target target(bool several, bool attributes);
  Target one_target(bool attributes);

  std::vector<Token> tokens_;
  std::string_view where_;
  size_t place_ = 0;
  int nesting_ = 0;              // of statements and brackets, as the parser recurses
  int loops_ = 0;                // around this place, for break and continue
  std::set<std::string> names_;  // seen in the macro that is being read
  struct Nesting;
};

// Counts a level of recursion while it lives.
struct Parser::Nesting {
  explicit Nesting(Parser& parser);
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  Parser& parser_;
};

}  // namespace trit::jinja
