#pragma once
// Runs the syntax tree of a template.

#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_syntax.h"

namespace trit::jinja {

struct Variables {
  std::vector<std::pair<std::string, Value>> values;
  std::function<std::tm()> clock;  // what strftime_now tells
};

// The text of the template. Throws Error "<where>:<line>:<column>: ..." when an operation fails, when the
// template calls raise_exception, and when it uses up the budget.
std::string run(const Body& body, std::string_view where, const Variables& variables,
                Budget& budget);

// Inside the interpreter: variables of one level; an inner level sees those of the outer ones.
struct Scope {
  std::vector<std::pair<std::string, Value>> variables;
  std::shared_ptr<Scope> parent;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  Interpreter(std::string_view where, Budget& budget) : where_(where), budget_(budget) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  std::string run(const Body& body, const Variables& variables);

 private:
  enum class Flow : uint8_t { kOn, kBreak, kContinue };
  struct Level;  // counts the depth of the recursion

  [[noreturn]] void fail(Position at, const char* message) const;
  ScopePtr inner(const ScopePtr& outer);
  ScopePtr globals(const Variables& variables);
  Value make_namespace(Args& args);

  // Statements.
  Flow execute(const Body& body, const ScopePtr& scope, std::string& out);
  Flow execute(const Statement& statement, const ScopePtr& scope, std::string& out);
  Flow perform(const Statement& statement, const ScopePtr& scope, std::string& out);
  Flow perform_if(const Statement& statement, const ScopePtr& scope, std::string& out);
  void perform_for(const Statement& statement, const Value& items, const ScopePtr& scope,
                   int64_t depth, std::string& out);
  std::vector<Value> loop_items(const Statement& statement, const Value& all,
                                const ScopePtr& scope);
  void perform_call(const Statement& statement, const ScopePtr& scope, std::string& out);
  Value captured(const Body& body, const ScopePtr& scope);
  Value make_macro(const std::shared_ptr<const Macro>& macro, const ScopePtr& scope);
  Value call_macro(const Macro& macro, const ScopePtr& scope, Args& args);
  void assign(const Target& target, const Value& value, const ScopePtr& scope);
  void append(std::string& out, std::string_view text);

  // Expressions.
  Value evaluate(const Expr& expr, const ScopePtr& scope);
  Value compute(const Expr& expr, const ScopePtr& scope);
  Value compute_compare(const Expr& expr, const ScopePtr& scope);
  Value compute_concat(const Expr& expr, const ScopePtr& scope);
  Value compute_item(const Expr& expr, const ScopePtr& scope);
  Value compute_call(const Expr& expr, const ScopePtr& scope, const Value* caller = nullptr);
  Value compute_collection(const Expr& expr, const ScopePtr& scope);
  Value apply_filters(const Expr& expr, const Value& input, const ScopePtr& scope);
  Value lookup(const std::string& name, const ScopePtr& scope) const;
  Args arguments(const Expr& expr, const ScopePtr& scope);

  std::string_view where_;
  Budget& budget_;
  int depth_ = 0;
  // Emptied at the end, because they may hold each other in circles.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<ScopePtr> closures_;
};

struct Interpreter::Level {
  explicit Level(Interpreter& interpreter);
  ~Level() { --interpreter_.depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  Interpreter& interpreter_;
};

}  // namespace trit::jinja
