#include "text/jinja_interpreter.h"

#include "base/error.h"
#include "text/jinja_builtins.h"

namespace trit::jinja {

namespace {
constexpr int kMaxLevels = 600;  // of statements, expressions and macros inside each other
}

const Value* Scope::find(std::string_view name) const {
  for (const auto& [known, value] : variables)
    if (known == name) return &value;
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : variables) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Level::Level(Interpreter& interpreter) : interpreter_(interpreter) {
  interpreter_.budget_.step();
  if (interpreter_.depth_ >= kMaxLevels) fault("macros or loops call each other too deeply");
  ++interpreter_.depth_;
}

Interpreter::~Interpreter() {
  for (const auto& names : namespaces_) names->items.clear();
  for (const ScopePtr& scope : closures_) scope->variables.clear();
}

void Interpreter::fail(Position at, const char* message) const {
  std::string line = message;
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  bad_input("{}:{}:{}: {}", where_, at.line, at.column, line);
}

ScopePtr Interpreter::inner(const ScopePtr& outer) {
  return std::make_shared<Scope>(Scope{{}, outer});
}

std::string Interpreter::run(const Body& body, const Variables& variables) {
  std::string out;
  execute(body, inner(globals(variables)), out);
  return out;
}

void Interpreter::append(std::string& out, std::string_view text) {
  if (text.size() > budget_.output - std::min(out.size(), budget_.output))
    fault("the text is longer than {} bytes", budget_.output);
  budget_.allocate(text.size());
  out += text;
}

Interpreter::Flow Interpreter::execute(const Body& body, const ScopePtr& scope, std::string& out) {
  for (const Statement& statement : body) {
    const Flow flow = execute(statement, scope, out);
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, const ScopePtr& scope,
                                       std::string& out) {
  try {
    const Level level(*this);
    return perform(statement, scope, out);
  } catch (const Fault& what) {
    fail(statement.at, what.what());
  }
}

Interpreter::Flow Interpreter::perform(const Statement& statement, const ScopePtr& scope,
                                       std::string& out) {
  switch (statement.kind) {
    case StatementKind::kText:
      append(out, statement.text);
      break;
    case StatementKind::kOutput:
      append(out, to_text(budget_, evaluate(*statement.value, scope)));
      break;
    case StatementKind::kIf:
      return perform_if(statement, scope, out);
    case StatementKind::kFor:
      perform_for(statement, evaluate(*statement.value, scope), scope, 0, out);
      break;
    case StatementKind::kSet:
      assign(statement.target, evaluate(*statement.value, scope), scope);
      break;
    case StatementKind::kSetBlock: {
      Value text = captured(statement.body, scope);
      if (statement.value != nullptr) text = apply_filters(*statement.value, text, scope);
      assign(statement.target, text, scope);
      break;
    }
    case StatementKind::kMacro:
      scope->set(statement.macro->name, make_macro(statement.macro, scope));
      break;
    case StatementKind::kCall:
      perform_call(statement, scope, out);
      break;
    case StatementKind::kFilter: {
      const Value text = captured(statement.body, scope);
      append(out, to_text(budget_, apply_filters(*statement.value, text, scope)));
      break;
    }
    case StatementKind::kWith: {
      const ScopePtr variables = inner(scope);
      for (const auto& [target, value] : statement.assignments)
        assign(target, evaluate(*value, scope), variables);
      return execute(statement.body, variables, out);
    }
    case StatementKind::kScope:
      return execute(statement.body, inner(scope), out);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::perform_if(const Statement& statement, const ScopePtr& scope,
                                          std::string& out) {
  for (const auto& [condition, body] : statement.branches)
    if (evaluate(*condition, scope).truthy()) return execute(body, scope, out);
  return execute(statement.otherwise, scope, out);
}

// What the loop goes through: all, or those for which its condition holds.
std::vector<Value> Interpreter::loop_items(const Statement& statement, const Value& all,
                                           const ScopePtr& scope) {
  std::vector<Value> items = elements(budget_, all);
  if (statement.condition == nullptr) return items;
  std::vector<Value> chosen;
  for (Value& item : items) {
    const ScopePtr variables = inner(scope);
    assign(statement.target, item, variables);
    if (evaluate(*statement.condition, variables).truthy()) chosen.push_back(std::move(item));
  }
  return chosen;
}

void Interpreter::perform_for(const Statement& statement, const Value& items, const ScopePtr& scope,
                              int64_t depth, std::string& out) {
  const auto loop = std::make_shared<Loop>();
  loop->items = loop_items(statement, items, scope);
  loop->depth0 = depth;
  if (statement.recursive) {
    loop->recurse = [this, &statement, scope, depth](const Value& inner_items) {
      std::string text;
      perform_for(statement, inner_items, scope, depth + 1, text);
      return Value(std::move(text));
    };
  }
  struct End {  // a template may keep the loop longer than it runs
    Loop& loop;
    ~End() {
      loop.ended = true;
      loop.last_changed.clear();
      loop.recurse = nullptr;
    }
  } const end{*loop};
  const auto count = static_cast<int64_t>(loop->items.size());
  for (int64_t i = 0; i < count; ++i) {
    budget_.step();
    loop->index0 = i;
    const ScopePtr variables = inner(scope);
    variables->set("loop", loop);
    assign(statement.target, loop->items[static_cast<size_t>(i)], variables);
    if (execute(statement.body, variables, out) == Flow::kBreak) break;
  }
  if (count == 0) execute(statement.otherwise, inner(scope), out);
}

Value Interpreter::captured(const Body& body, const ScopePtr& scope) {
  std::string text;
  execute(body, inner(scope), text);
  return text;
}

Value Interpreter::make_macro(const std::shared_ptr<const Macro>& macro, const ScopePtr& scope) {
  budget_.allocate(sizeof(Callable) + sizeof(Scope) + sizeof(ScopePtr));
  if (closures_.empty() || closures_.back() != scope) closures_.push_back(scope);
  const std::weak_ptr<Scope> weak = scope;  // closures_ keeps it
  return std::make_shared<const Callable>(Callable{macro->name, [this, macro, weak](Args& args) {
                                                     return call_macro(*macro, weak.lock(), args);
                                                   }});
}

Value Interpreter::call_macro(const Macro& macro, const ScopePtr& scope, Args& args) {
  const Level level(*this);
  const ScopePtr variables = inner(scope);
  std::vector<std::pair<Value, Value>> more_named;
  for (auto& [name, value] : args.named) {
    const auto& known = macro.parameters;
    const auto place = std::find(known.begin(), known.end(), name);
    if (place != known.end()) {
      if (static_cast<size_t>(place - known.begin()) < args.positional.size())
        fault("macro '{}' gets '{}' twice", macro.name, name);
      variables->set(name, std::move(value));
    } else if (name == "caller") {
      variables->set(name, std::move(value));
    } else if (macro.takes_named) {
      more_named.emplace_back(Value(name), std::move(value));
    } else {
      fault("macro '{}' has no parameter '{}'", macro.name, name);
    }
  }
  const size_t count = macro.parameters.size(), given = args.positional.size();
  if (given > count && !macro.takes_more)
    fault("macro '{}' takes {} arguments, not {}", macro.name, count, given);
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = macro.parameters[i];
    const size_t first_default = count - macro.defaults.size();
    if (i < given) {
      variables->set(name, args.positional[i]);
    } else if (variables->find(name) == nullptr) {
      variables->set(name, i < first_default
                               ? Value::undefined(name)
                               : evaluate(*macro.defaults[i - first_default], variables));
    }
  }
  if (macro.takes_more) {
    std::vector<Value> more;
    for (size_t i = count; i < given; ++i) more.push_back(args.positional[i]);
    variables->set("varargs", make_tuple(budget_, std::move(more)));
  }
  if (macro.takes_named) variables->set("kwargs", make_dict(budget_, std::move(more_named)));
  std::string text;
  execute(macro.body, variables, text);
  return text;
}

void Interpreter::perform_call(const Statement& statement, const ScopePtr& scope,
                               std::string& out) {
  const Value caller = make_macro(statement.macro, scope);
  append(out, to_text(budget_, compute_call(*statement.value, scope, &caller)));
}

void Interpreter::assign(const Target& target, const Value& value, const ScopePtr& scope) {
  if (!target.parts.empty()) {
    const std::vector<Value> parts = elements(budget_, value);
    if (parts.size() != target.parts.size())
      fault("{} values cannot be assigned to {} names", parts.size(), target.parts.size());
    for (size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i], scope);
    return;
  }
  if (target.attribute.empty()) return scope->set(target.name, value);
  const Value holder = lookup(target.name, scope);
  const auto* names = holder.get_if<std::shared_ptr<Namespace>>();
  if (names == nullptr) fault("'{}' is no namespace, so nothing in it can be set", target.name);
  if (target.attribute.starts_with('_'))
    fault("'{}' begins with '_', which no attribute of a namespace may", target.attribute);
  budget_.step(static_cast<int64_t>((*names)->items.size()) / 16);
  (*names)->set(target.attribute, value);
}

std::string run(const Body& body, std::string_view where, const Variables& variables,
                Budget& budget) {
  return Interpreter(where, budget).run(body, variables);
}

}  // namespace trit::jinja
