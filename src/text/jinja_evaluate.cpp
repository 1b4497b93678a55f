// The interpreter's expressions and global functions.

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_interpreter.h"

namespace trit::jinja {

Value Interpreter::evaluate(const Expr& expr, const ScopePtr& scope) {
  try {
    const Level level(*this);
    return compute(expr, scope);
  } catch (const Fault& what) {
    fail(expr.at, what.what());
  }
}

Value Interpreter::compute(const Expr& expr, const ScopePtr& scope) {
  const auto child = [&](size_t i) { return evaluate(*expr.children[i], scope); };
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return lookup(expr.name, scope);
    case ExprKind::kList:
    case ExprKind::kTuple:
    case ExprKind::kDict:
      return compute_collection(expr, scope);
    case ExprKind::kAttribute:
      return attribute(budget_, child(0), expr.name);
    case ExprKind::kItem:
      return compute_item(expr, scope);
    case ExprKind::kSlice:
      fault("a slice stands outside a subscript");
    case ExprKind::kCall:
      return compute_call(expr, scope);
    case ExprKind::kFilter:
      return apply_filters(expr, Value(), scope);
    case ExprKind::kTest:
      return find_test(expr.name)(budget_, child(0), arguments(expr, scope));
    case ExprKind::kNot:
      return !child(0).truthy();
    case ExprKind::kNegative:
      return negative(child(0));
    case ExprKind::kPositive:
      return negative(negative(child(0)));
    case ExprKind::kAnd: {
      Value left = child(0);
      return left.truthy() ? child(1) : left;
    }
    case ExprKind::kOr: {
      Value left = child(0);
      return left.truthy() ? left : child(1);
    }
    case ExprKind::kBinary: {
      const Value left = child(0);
      return binary(budget_, expr.name, left, child(1));
    }
    case ExprKind::kCompare:
      return compute_compare(expr, scope);
    case ExprKind::kConcat:
      return compute_concat(expr, scope);
    case ExprKind::kConditional:
      if (child(1).truthy()) return child(0);
      return expr.children[2] == nullptr ? Value::undefined("else") : child(2);
  }
  return {};
}

// a < b < c: each neighbour is compared, and the first false one ends it.
Value Interpreter::compute_compare(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    if (!compare(budget_, expr.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::compute_concat(const Expr& expr, const ScopePtr& scope) {
  std::string text;
  for (const ExprPtr& part : expr.children) text += to_text(budget_, evaluate(*part, scope));
  return make_string(budget_, std::move(text));
}

Value Interpreter::compute_item(const Expr& expr, const ScopePtr& scope) {
  const Value value = evaluate(*expr.children[0], scope);
  const Expr& key = *expr.children[1];
  if (key.kind != ExprKind::kSlice) return item(budget_, value, evaluate(key, scope));
  const auto part = [&](size_t i) {
    return key.children[i] == nullptr ? Value(Value::None{}) : evaluate(*key.children[i], scope);
  };
  const Value begin = part(0), end = part(1);
  return slice(budget_, value, begin, end, part(2));
}

Value Interpreter::compute_collection(const Expr& expr, const ScopePtr& scope) {
  std::vector<Value> items;
  for (const ExprPtr& child : expr.children) items.push_back(evaluate(*child, scope));
  if (expr.kind == ExprKind::kList) return make_list(budget_, std::move(items));
  if (expr.kind == ExprKind::kTuple) return make_tuple(budget_, std::move(items));
  std::vector<std::pair<Value, Value>> pairs;
  for (size_t i = 0; i < items.size(); i += 2)
    pairs.emplace_back(std::move(items[i]), std::move(items[i + 1]));
  return make_dict(budget_, std::move(pairs));
}

Args Interpreter::arguments(const Expr& expr, const ScopePtr& scope) {
  Args args;
  for (size_t i = 1; i < expr.children.size(); ++i)
    args.positional.push_back(evaluate(*expr.children[i], scope));
  for (const auto& [name, value] : expr.named)
    args.named.emplace_back(name, evaluate(*value, scope));
  return args;
}

Value Interpreter::compute_call(const Expr& expr, const ScopePtr& scope, const Value* caller) {
  const Value callee = evaluate(*expr.children[0], scope);
  Args args = arguments(expr, scope);
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  if (const auto* function = callee.get_if<std::shared_ptr<const Callable>>())
    return (*function)->call(args);
  if (const auto* loop = callee.get_if<std::shared_ptr<Loop>>()) {
    args.only(1);
    if (!(*loop)->recurse) fault("the loop is not 'recursive', so it cannot be called");
    const auto recurse = (*loop)->recurse;
    return recurse(args.need(0, "items"));
  }
  if (callee.is_undefined()) undefined_fault(callee);
  fault("a {} cannot be called", callee.type());
}

// A chain of filters; the innermost gets `input` where it has no expression of its own.
Value Interpreter::apply_filters(const Expr& expr, const Value& input, const ScopePtr& scope) {
  const Level level(*this);
  const ExprPtr& source = expr.children[0];
  Value value = input;
  if (source != nullptr) {
    const bool chain = source->kind == ExprKind::kFilter;
    value = chain ? apply_filters(*source, input, scope) : evaluate(*source, scope);
  }
  try {
    if (value.get_if<Value::Markup>() != nullptr && !takes_markup(expr.name))
      fault("filter '{}' is not supported for text that is marked safe", expr.name);
    return find_filter(expr.name)(budget_, value, arguments(expr, scope));
  } catch (const Fault& what) {
    fail(expr.at, what.what());
  }
}

Value Interpreter::lookup(const std::string& name, const ScopePtr& scope) const {
  for (const Scope* level = scope.get(); level != nullptr; level = level->parent.get())
    if (const Value* value = level->find(name)) return *value;
  return Value::undefined(name);
}

namespace {

constexpr int64_t kMaxRange = 100'000;  // that of Jinja's sandbox

Value range(Budget& budget, const Args& args) {
  args.only(3);
  const auto at = [&](size_t i) {
    args.need(i, "stop");
    return args.integer_or(i, "", 0);
  };
  const size_t given = args.positional.size();
  const int64_t begin = given > 1 ? at(0) : 0, end = given > 1 ? at(1) : at(0);
  const int64_t step = given > 2 ? at(2) : 1;
  if (step == 0) fault("the step of range is zero");
  std::vector<Value> items;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange)
      fault("range: more than {} numbers are not supported", kMaxRange);
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_sequence(budget, Sequence::Kind::kRange, std::move(items));
}

// The items of dict(...) and namespace(...): those of a dict or of pairs, then the named ones.
std::vector<std::pair<Value, Value>> pairs_of(Budget& budget, Args& args) {
  std::vector<std::pair<Value, Value>> pairs;
  if (args.positional.size() > 1) fault("it takes one dict and names");
  if (!args.positional.empty()) {
    if (const Dict* dict = args.positional[0].dict()) {
      pairs = dict->items;
    } else {
      for (const Value& pair : elements(budget, args.positional[0])) {
        std::vector<Value> two = elements(budget, pair);
        if (two.size() != 2) fault("it takes pairs of a key and a value");
        pairs.emplace_back(std::move(two[0]), std::move(two[1]));
      }
    }
  }
  for (auto& [name, value] : args.named) pairs.emplace_back(Value(name), std::move(value));
  return pairs;
}

std::string time_text(const std::tm& now, const std::string& format) {
  if (format.empty()) return "";
  char text[1024];
  const size_t size = std::strftime(text, sizeof text, format.c_str(), &now);
  if (size == 0) fault("strftime_now: the format '{}' gives no text", printable(format));
  return std::string(text, size);
}

}  // namespace

Value Interpreter::make_namespace(Args& args) {
  const auto names = std::make_shared<Namespace>();
  for (auto& [name, value] : pairs_of(budget_, args)) {
    const std::string& text = need_string(name);
    if (text.starts_with('_'))
      fault("'{}' begins with '_', which no attribute of a namespace may", text);
    names->set(text, std::move(value));
  }
  budget_.allocate(sizeof(Namespace) + names->items.size() * 2 * sizeof(Value));
  namespaces_.push_back(names);
  return names;
}

ScopePtr Interpreter::globals(const Variables& variables) {
  const auto scope = std::make_shared<Scope>();
  const auto add = [&](const char* name, std::function<Value(Args&)> call) {
    scope->set(name, std::make_shared<const Callable>(Callable{name, std::move(call)}));
  };
  add("range", [this](Args& args) { return range(budget_, args); });
  add("dict", [this](Args& args) { return make_dict(budget_, pairs_of(budget_, args)); });
  add("namespace", [this](Args& args) { return make_namespace(args); });
  add("raise_exception",
      [this](Args& args) -> Value { throw Fault(to_text(budget_, args.need(0, "message"))); });
  add("strftime_now", [clock = variables.clock](Args& args) {
    args.only(1, {"format"});
    return Value(time_text(clock(), need_string(args.need(0, "format"))));
  });
  for (const auto& [name, value] : variables.values) scope->set(name, value);
  return scope;
}

}  // namespace trit::jinja
