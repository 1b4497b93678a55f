#pragma once
// The syntax tree of a template.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_lexer.h"
#include "text/jinja_value.h"

namespace trit::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kConstant,
  kName,       // name
  kList,       // children
  kTuple,      // children
  kDict,       // children: key, value, key, value ...
  kAttribute,  // children[0].name
  kItem,       // children[0][children[1]]
  kSlice,      // [children[0]:children[1]:children[2]], null where nothing stands
  kCall,       // children[0](arguments)
  kFilter,     // children[0] | name(arguments); children[0] is null in a filter or set block
  kTest,       // children[0] is name(arguments)
  kNot,
  kNegative,
  kPositive,
  kAnd,
  kOr,
  kBinary,       // children[0] name children[1]
  kCompare,      // children[0] operators[0] children[1] operators[1] children[2] ...
  kConcat,       // children joined by ~
  kConditional,  // children[0] if children[1] else children[2]; the last may be null
};

struct Expr {
  ExprKind kind;
  Position at;
  std::string name = {};
  Value constant = {};
  std::vector<ExprPtr> children = {};
  std::vector<std::pair<std::string, ExprPtr>> named = {};  // arguments with names
  std::vector<std::string> operators = {};
  int depth = 1;  // of the tree from here
};

// What a set or for assigns to: a name, an attribute of a namespace, or several of them.
struct Target {
  Position at;
  std::string name = {};
  std::string attribute = {};      // empty: the name itself
  std::vector<Target> parts = {};  // not empty: an unpacked tuple
};

struct Statement;
using Body = std::vector<Statement>;

enum class StatementKind : uint8_t {
  kText,
  kOutput,    // value
  kIf,        // branches, otherwise
  kFor,       // target in value if condition: body, otherwise
  kSet,       // target = value
  kSetBlock,  // target = body, through the filter `value` when there is one
  kMacro,     // macro
  kCall,      // value is the call, macro the caller
  kFilter,    // body through the filter `value`
  kWith,      // assignments, body
  kScope,     // body with variables of its own
  kBreak,
  kContinue,
};

struct Macro {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  bool takes_more = false, takes_named = false;  // its body names varargs, kwargs
};

struct Statement {
  StatementKind kind;
  Position at;
  std::string text = {};
  ExprPtr value = {};
  ExprPtr condition = {};
  Target target = {};
  bool recursive = false;
  Body body = {};
  Body otherwise = {};
  std::vector<std::pair<ExprPtr, Body>> branches = {};
  std::vector<std::pair<Target, ExprPtr>> assignments = {};
  std::shared_ptr<const Macro> macro = {};
};

// Throws Error "<where>:<line>:<column>: ..." for a syntax error and for a construct, filter or test that
// is not supported.
Body parse(std::string_view source, std::string_view where);

}  // namespace trit::jinja
