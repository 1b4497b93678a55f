#include <charconv>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_parser.h"

namespace trit::jinja {

namespace {
constexpr int kMaxNesting = 100;    // of brackets and blocks
constexpr int kMaxTreeDepth = 250;  // of an expression: a + b + c + ... is a deep tree
}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ <= kMaxNesting) return;
  --parser_.nesting_;
  parser_.fail(parser_.look().at, fmt::format("nested more than {} deep", kMaxNesting));
}

bool Parser::see_name(std::string_view name, size_t ahead) const {
  return look(ahead).type == TokenType::kName && look(ahead).text == name;
}
bool Parser::see_operator(std::string_view op, size_t ahead) const {
  return look(ahead).type == TokenType::kOperator && look(ahead).text == op;
}
bool Parser::skip_name(std::string_view name) {
  const bool seen = see_name(name);
  if (seen) take();
  return seen;
}
bool Parser::skip_operator(std::string_view op) {
  const bool seen = see_operator(op);
  if (seen) take();
  return seen;
}
void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(fmt::format("'{}'", name));
}
void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) unexpected(fmt::format("'{}'", op));
}
std::string Parser::expect_identifier(const char* what) {
  if (look().type != TokenType::kName) unexpected(what);
  return take().text;
}

void Parser::unexpected(const std::string& wanted) const {
  const Token& token = look();
  std::string found;
  switch (token.type) {
    case TokenType::kBlockEnd:
      found = "'%}'";
      break;
    case TokenType::kVariableEnd:
      found = "'}}'";
      break;
    case TokenType::kName:
    case TokenType::kInteger:
    case TokenType::kFloat:
    case TokenType::kOperator:
      found = fmt::format("'{}'", printable(token.text));
      break;
    case TokenType::kString:
      found = fmt::format("the string '{}'", printable(token.text));
      break;
    default:
      found = "the end of the template";
  }
  fail(token.at, fmt::format("expected {}, found {}", wanted, found));
}

void Parser::deepen(Expr& node, const ExprPtr& child) const {
  if (child == nullptr) return;
  node.depth = std::max(node.depth, child->depth + 1);
  if (node.depth > kMaxTreeDepth)
    fail(node.at, fmt::format("the expression is nested more than {} deep", kMaxTreeDepth));
}

ExprPtr Parser::make(ExprKind kind, Position at, std::vector<ExprPtr> children, std::string name) {
  auto node = std::make_unique<Expr>(Expr{kind, at, std::move(name)});
  for (const ExprPtr& child : children) deepen(*node, child);
  node->children = std::move(children);
  return node;
}

namespace {

std::vector<ExprPtr> list_of(ExprPtr a, ExprPtr b) {
  std::vector<ExprPtr> list;
  list.push_back(std::move(a));
  list.push_back(std::move(b));
  return list;
}
std::vector<ExprPtr> list_of(ExprPtr a) {
  std::vector<ExprPtr> list;
  list.push_back(std::move(a));
  return list;
}

}  // namespace

ExprPtr Parser::expression(bool conditional) {
  const Nesting nesting(*this);
  Position at = look().at;
  ExprPtr node = or_expression();
  while (conditional && skip_name("if")) {
    ExprPtr condition = or_expression();
    ExprPtr otherwise = skip_name("else") ? expression() : nullptr;
    std::vector<ExprPtr> children = list_of(std::move(node), std::move(condition));
    children.push_back(std::move(otherwise));
    node = make(ExprKind::kConditional, at, std::move(children));
  }
  return node;
}

ExprPtr Parser::or_expression() {
  ExprPtr left = and_expression();
  while (see_name("or")) {
    const Position at = take().at;
    left = make(ExprKind::kOr, at, list_of(std::move(left), and_expression()));
  }
  return left;
}

ExprPtr Parser::and_expression() {
  ExprPtr left = not_expression();
  while (see_name("and")) {
    const Position at = take().at;
    left = make(ExprKind::kAnd, at, list_of(std::move(left), not_expression()));
  }
  return left;
}

ExprPtr Parser::not_expression() {
  if (!see_name("not")) return comparison();
  const Nesting nesting(*this);
  const Position at = take().at;
  return make(ExprKind::kNot, at, list_of(not_expression()));
}

ExprPtr Parser::comparison() {
  const Position at = look().at;
  std::vector<ExprPtr> operands = list_of(sum());
  std::vector<std::string> operators;
  while (true) {
    std::string op;
    for (const std::string_view known : {"==", "!=", "<=", ">=", "<", ">"})
      if (op.empty() && see_operator(known)) op = known;
    if (see_name("in")) op = "in";
    if (see_name("not") && see_name("in", 1)) op = "not in";
    if (op.empty()) break;
    take();
    if (op == "not in") take();
    operators.push_back(std::move(op));
    operands.push_back(sum());
  }
  if (operators.empty()) return std::move(operands[0]);
  ExprPtr node = make(ExprKind::kCompare, at, std::move(operands));
  node->operators = std::move(operators);
  return node;
}

ExprPtr Parser::sum() {
  ExprPtr left = concatenation();
  while (see_operator("+") || see_operator("-")) {
    Token op = take();
    left = make(ExprKind::kBinary, op.at, list_of(std::move(left), concatenation()), op.text);
  }
  return left;
}

ExprPtr Parser::concatenation() {
  const Position at = look().at;
  std::vector<ExprPtr> parts = list_of(product());
  while (skip_operator("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts[0]);
  return make(ExprKind::kConcat, at, std::move(parts));
}

ExprPtr Parser::product() {
  ExprPtr left = power();
  while (see_operator("*") || see_operator("/") || see_operator("//") || see_operator("%")) {
    Token op = take();
    left = make(ExprKind::kBinary, op.at, list_of(std::move(left), power()), op.text);
  }
  return left;
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  while (see_operator("**")) {
    Token op = take();
    left = make(ExprKind::kBinary, op.at, list_of(std::move(left), unary()), op.text);
  }
  return left;
}

ExprPtr Parser::unary(bool filters) {
  ExprPtr node;
  const Position at = look().at;
  if (see_operator("-") || see_operator("+")) {
    const Nesting nesting(*this);
    const bool minus = take().text == "-";
    node = make(minus ? ExprKind::kNegative : ExprKind::kPositive, at, list_of(unary(false)));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return filters ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::constant(Position at, Value value) {
  ExprPtr node = make(ExprKind::kConstant, at);
  node->constant = std::move(value);
  return node;
}

ExprPtr Parser::number(const Token& token) {
  if (token.type == TokenType::kFloat) {
    double value = 0;
    std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
    return constant(token.at, value);
  }
  int64_t value = 0;
  const auto read =
      std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
  if (read.ec != std::errc()) fail(token.at, "integers beyond 64 bits are not supported");
  return constant(token.at, value);
}

ExprPtr Parser::primary() {
  const Token& token = look();
  const Position at = token.at;
  switch (token.type) {
    case TokenType::kName: {
      const std::string name = take().text;
      if (name == "true" || name == "True") return constant(at, true);
      if (name == "false" || name == "False") return constant(at, false);
      if (name == "none" || name == "None") return constant(at, Value::None{});
      if (is_unsupported_name(name)) fail(at, fmt::format("'{}' is not supported", name));
      names_.insert(name);
      return make(ExprKind::kName, at, {}, name);
    }
    case TokenType::kString: {
      std::string text;
      while (look().type == TokenType::kString) text += take().text;
      return constant(at, std::move(text));
    }
    case TokenType::kInteger:
    case TokenType::kFloat:
      return number(take());
    default:
      break;
  }
  if (see_operator("[")) return list();
  if (see_operator("{")) return dict();
  if (!see_operator("(")) unexpected("an expression");
  take();
  ExprPtr node = tuple_or_expression(true, true);
  expect_operator(")");
  return node;
}

bool Parser::tuple_ends(bool for_iterable) const {
  const TokenType type = look().type;
  return type == TokenType::kBlockEnd || type == TokenType::kVariableEnd ||
         type == TokenType::kEnd || see_operator(")") || (for_iterable && see_name("recursive"));
}

ExprPtr Parser::tuple_or_expression(bool conditional, bool in_parentheses, bool for_iterable) {
  const Position at = look().at;
  std::vector<ExprPtr> parts;
  bool tuple = false;
  while (!tuple_ends(for_iterable)) {
    parts.push_back(expression(conditional));
    if (!skip_operator(",")) break;
    tuple = true;
  }
  if (!tuple && !parts.empty()) return std::move(parts[0]);
  if (parts.empty() && !in_parentheses) unexpected("an expression");
  return make(ExprKind::kTuple, at, std::move(parts));
}

ExprPtr Parser::list() {
  const Position at = take().at;
  std::vector<ExprPtr> items;
  while (!see_operator("]")) {
    items.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  return make(ExprKind::kList, at, std::move(items));
}

ExprPtr Parser::dict() {
  const Position at = take().at;
  std::vector<ExprPtr> items;
  while (!see_operator("}")) {
    items.push_back(expression());
    expect_operator(":");
    items.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("}");
  return make(ExprKind::kDict, at, std::move(items));
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (see_operator(".") || see_operator("[")) {
      node = subscript(std::move(node));
    } else if (see_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (see_operator("|")) {
      node = filters(std::move(node));
    } else if (see_name("is")) {
      node = test(std::move(node));
    } else if (see_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr node) {
  const Token opening = take();
  if (opening.text == ".") {
    if (look().type == TokenType::kInteger) {
      ExprPtr index = number(take());
      return make(ExprKind::kItem, opening.at, list_of(std::move(node), std::move(index)));
    }
    std::string name = expect_identifier("a name or a number behind the dot");
    return make(ExprKind::kAttribute, opening.at, list_of(std::move(node)), std::move(name));
  }
  std::vector<ExprPtr> arguments;
  while (!see_operator("]")) {
    arguments.push_back(subscript_argument());
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  if (arguments.size() != 1) fail(opening.at, "a subscript wants one index or one slice");
  return make(ExprKind::kItem, opening.at, list_of(std::move(node), std::move(arguments[0])));
}

ExprPtr Parser::subscript_argument() {
  const Position at = look().at;
  std::vector<ExprPtr> parts(3);
  if (!see_operator(":")) {
    parts[0] = expression();
    if (!see_operator(":")) return std::move(parts[0]);
  }
  for (size_t i = 1; i < 3 && skip_operator(":"); ++i)
    if (!see_operator(":") && !see_operator("]") && !see_operator(",")) parts[i] = expression();
  return make(ExprKind::kSlice, at, std::move(parts));
}

// ( ... ) of a call, filter or test; what it holds is added to the node.
void Parser::arguments(Expr& node) {
  expect_operator("(");
  while (!see_operator(")")) {
    if (see_operator("*") || see_operator("**"))
      fail(look().at, fmt::format("arguments with '{}' are not supported", look().text));
    if (look().type == TokenType::kName && see_operator("=", 1)) {
      std::string name = take().text;
      take();
      for (const auto& [known, value] : node.named)
        if (known == name) fail(node.at, fmt::format("argument '{}' is given twice", name));
      node.named.emplace_back(std::move(name), expression());
      deepen(node, node.named.back().second);
    } else {
      if (!node.named.empty())
        fail(look().at, "an argument without a name follows one with a name");
      node.children.push_back(expression());
      deepen(node, node.children.back());
    }
    if (!skip_operator(",")) break;
  }
  expect_operator(")");
}

ExprPtr Parser::call(ExprPtr node) {
  ExprPtr made = make(ExprKind::kCall, look().at, list_of(std::move(node)));
  arguments(*made);
  return made;
}

ExprPtr Parser::filters(ExprPtr node) {
  while (skip_operator("|")) {
    const Position at = look().at;
    std::string name = expect_identifier("the name of a filter");
    if (find_filter(name) == nullptr) fail(at, fmt::format("filter '{}' is not supported", name));
    ExprPtr made = make(ExprKind::kFilter, at, list_of(std::move(node)), std::move(name));
    if (see_operator("(")) arguments(*made);
    node = std::move(made);
  }
  return node;
}

ExprPtr Parser::test(ExprPtr node) {
  take();
  const Position at = look().at;
  const bool negated = skip_name("not");
  const Position name_at = look().at;
  std::string name = expect_identifier("the name of a test");
  if (find_test(name) == nullptr) fail(name_at, fmt::format("test '{}' is not supported", name));
  ExprPtr made = make(ExprKind::kTest, name_at, list_of(std::move(node)), std::move(name));
  const TokenType next = look().type;
  const bool value =
      next == TokenType::kString || next == TokenType::kInteger || next == TokenType::kFloat ||
      see_operator("[") || see_operator("{") ||
      (next == TokenType::kName && !see_name("else") && !see_name("or") && !see_name("and"));
  if (see_operator("(")) {
    arguments(*made);
  } else if (value) {
    if (see_name("is")) fail(look().at, "tests cannot be chained with 'is'");
    made->children.push_back(postfix(primary()));
    deepen(*made, made->children.back());
  }
  return negated ? make(ExprKind::kNot, at, list_of(std::move(made))) : std::move(made);
}

}  // namespace trit::jinja
