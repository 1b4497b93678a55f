#include "base/error.h"
#include "text/jinja_parser.h"

namespace trit::jinja {

Body Parser::parse_template() {
  Body statements = body({});
  return statements;
}

void Parser::expect_end(TokenType type, const std::string& wanted) {
  if (look().type != type) unexpected(wanted);
  take();
}

Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  Body statements;
  while (true) {
    const Token& token = look();
    switch (token.type) {
      case TokenType::kEnd:
        if (ends.size() > 0)
          fail(token.at, fmt::format("the template ends; '{}' is missing", *ends.begin()));
        return statements;
      case TokenType::kText: {
        Token text = take();
        statements.push_back({StatementKind::kText, text.at, std::move(text.text)});
        break;
      }
      case TokenType::kVariableBegin: {
        Statement output{StatementKind::kOutput, take().at};
        output.value = tuple_or_expression(true, false);
        expect_end(TokenType::kVariableEnd, "'}}'");
        statements.push_back(std::move(output));
        break;
      }
      default:
        take();  // {%
        for (const std::string_view end : ends)
          if (see_name(end)) return statements;
        statements.push_back(statement());
    }
  }
}

Statement Parser::statement() {
  const Position at = look().at;
  const std::string tag = expect_identifier("the name of a tag");
  if (tag == "if") return if_statement(at);
  if (tag == "for") return for_statement(at);
  if (tag == "set") return set_statement(at);
  if (tag == "macro") return macro_statement(at);
  if (tag == "call") return call_statement(at);
  if (tag == "filter") return filter_statement(at);
  if (tag == "with") return with_statement(at);
  if (tag == "generation") return generation_statement(at);
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) fail(at, fmt::format("'{}' stands outside a loop", tag));
    end_block();
    return {tag == "break" ? StatementKind::kBreak : StatementKind::kContinue, at};
  }
  if (tag.starts_with("end") || tag == "else" || tag == "elif")
    fail(at, fmt::format("'{}' has no beginning", tag));
  fail(at, fmt::format("tag '{}' is not supported", tag));
}

Statement Parser::if_statement(Position at) {
  Statement statement{StatementKind::kIf, at};
  std::string tag;
  do {
    ExprPtr condition = tuple_or_expression(false, false);
    end_block();
    Body then = body({"endif", "else", "elif"});
    statement.branches.emplace_back(std::move(condition), std::move(then));
    tag = take().text;
  } while (tag == "elif");
  if (tag == "else") {
    end_block();
    statement.otherwise = body({"endif"});
    take();
  }
  end_block();
  return statement;
}

Statement Parser::for_statement(Position at) {
  Statement statement{StatementKind::kFor, at};
  statement.target = target(true, false);
  expect_name("in");
  statement.value = tuple_or_expression(false, false, true);
  if (skip_name("if")) statement.condition = expression();
  statement.recursive = skip_name("recursive");
  end_block();
  ++loops_;
  statement.body = body({"endfor", "else"});
  --loops_;
  if (take().text == "else") {
    end_block();
    statement.otherwise = body({"endfor"});
    take();
  }
  end_block();
  return statement;
}

Statement Parser::set_statement(Position at) {
  Statement statement{StatementKind::kSet, at};
  statement.target = target(true, true);
  if (skip_operator("=")) {
    statement.value = tuple_or_expression(true, false);
    end_block();
    return statement;
  }
  statement.kind = StatementKind::kSetBlock;
  if (see_operator("|")) statement.value = filters(nullptr);
  end_block();
  statement.body = body({"endset"});
  take();
  end_block();
  return statement;
}

void Parser::parameters(Macro& macro) {
  expect_operator("(");
  while (!see_operator(")")) {
    const Position at = look().at;
    macro.parameters.push_back(expect_identifier("the name of a parameter"));
    if (skip_operator("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail(at, "a parameter without a default follows one with a default");
    }
    if (!skip_operator(",")) break;
  }
  expect_operator(")");
}

Statement Parser::macro_statement(Position at) {
  Statement statement{StatementKind::kMacro, at};
  auto macro = std::make_shared<Macro>();
  macro->name = expect_identifier("the name of the macro");
  parameters(*macro);
  end_block();
  const int loops = std::exchange(loops_, 0);
  std::set<std::string> outside = std::exchange(names_, {});
  macro->body = body({"endmacro"});
  take();
  end_block();
  loops_ = loops;
  macro->takes_more = names_.count("varargs") > 0;
  macro->takes_named = names_.count("kwargs") > 0;
  names_.insert(outside.begin(), outside.end());
  statement.macro = std::move(macro);
  return statement;
}

Statement Parser::call_statement(Position at) {
  Statement statement{StatementKind::kCall, at};
  auto macro = std::make_shared<Macro>();
  macro->name = "caller";
  if (see_operator("(")) parameters(*macro);
  const Position call_at = look().at;
  statement.value = expression();
  if (statement.value->kind != ExprKind::kCall) fail(call_at, "expected a call");
  end_block();
  const int loops = std::exchange(loops_, 0);
  macro->body = body({"endcall"});
  take();
  end_block();
  loops_ = loops;
  statement.macro = std::move(macro);
  return statement;
}

Statement Parser::filter_statement(Position at) {
  Statement statement{StatementKind::kFilter, at};
  // The first filter stands without its bar.
  tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(place_),
                 Token{TokenType::kOperator, look().at, "|"});
  statement.value = filters(nullptr);
  end_block();
  statement.body = body({"endfilter"});
  take();
  end_block();
  return statement;
}

Statement Parser::with_statement(Position at) {
  Statement statement{StatementKind::kWith, at};
  while (look().type != TokenType::kBlockEnd) {
    Target variable = one_target(false);
    expect_operator("=");
    statement.assignments.emplace_back(std::move(variable), expression());
    if (!skip_operator(",")) break;
  }
  end_block();
  statement.body = body({"endwith"});
  take();
  end_block();
  return statement;
}

// Marks what the assistant said; it changes no text, but what is set inside is not seen outside.
Statement Parser::generation_statement(Position at) {
  Statement statement{StatementKind::kScope, at};
  end_block();
  const int loops = std::exchange(loops_, 0);
  statement.body = body({"endgeneration"});
  take();
  end_block();
  loops_ = loops;
  return statement;
}

Target Parser::one_target(bool attributes) {
  const Nesting nesting(*this);
  const Position at = look().at;
  if (skip_operator("(")) {
    Target inner = target(true, attributes);
    expect_operator(")");
    return inner;
  }
  Target one{at, expect_identifier("the name of a variable")};
  for (const char* reserved : {"true", "false", "none", "True", "False", "None"})
    if (one.name == reserved) fail(at, fmt::format("'{}' cannot be assigned to", one.name));
  if (attributes && skip_operator("."))
    one.attribute = expect_identifier("the name of an attribute");
  return one;
}

Target Parser::target(bool several, bool attributes) {
  const Position at = look().at;
  Target first = one_target(attributes);
  if (!several || !see_operator(",")) return first;
  Target tuple{at};
  tuple.parts.push_back(std::move(first));
  while (skip_operator(",")) {
    if (look().type != TokenType::kName && !see_operator("(")) break;
    if (see_name("in")) break;
    tuple.parts.push_back(one_target(attributes));
  }
  return tuple;
}

Body parse(std::string_view source, std::string_view where) {
  return Parser(tokenize(source, where), where).parse_template();
}

}  // namespace trit::jinja
