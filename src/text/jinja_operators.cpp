// Arithmetic, comparison, membership, subscripts and attributes.

#include <algorithm>
#include <cmath>

#include "text/jinja_builtins.h"
#include "text/jinja_unicode.h"

namespace trit::jinja {

void undefined_fault(const Value& value) {
  const auto* undefined = value.get_if<Value::Undefined>();
  if (undefined != nullptr && undefined->name != nullptr)
    fault("'{}' is undefined", *undefined->name);
  fault("the value is undefined");
}

const std::string& need_string(const Value& value) {
  if (value.is_undefined()) undefined_fault(value);
  const std::string* text = value.string();
  if (text == nullptr) fault("expected a string, found a {}", value.type());
  return *text;
}

namespace {

[[noreturn]] void overflow() { fault("integers beyond 64 bits are not supported"); }

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (exponent > 64 && base != 0 && base != 1 && base != -1) overflow();
  if (exponent > 64) exponent = 2 + exponent % 2;
  for (int64_t i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(result, base, &result)) overflow();
  return result;
}

Value integers(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &result)) overflow();
    return result;
  }
  if (op == "-") {
    if (__builtin_sub_overflow(a, b, &result)) overflow();
    return result;
  }
  if (op == "*") {
    if (__builtin_mul_overflow(a, b, &result)) overflow();
    return result;
  }
  if (op == "**") {
    if (b >= 0) return power(a, b);
    if (a == 0) fault("division by zero");
    return std::pow(static_cast<double>(a), static_cast<double>(b));
  }
  if (b == 0) fault("division by zero");
  if (op == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (a == INT64_MIN && b == -1) {
    if (op == "%") return 0;
    overflow();
  }
  const int64_t quotient = a / b, rest = a % b;
  const bool below = rest != 0 && (rest < 0) != (b < 0);  // Python rounds towards minus infinity
  if (op == "//") return quotient - (below ? 1 : 0);
  return rest + (below ? b : 0);
}

Value reals(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") {
    if (a == 0 && b < 0) fault("division by zero");
    if (a < 0 && std::isfinite(b) && b != std::floor(b)) fault("complex numbers are not supported");
    return std::pow(a, b);
  }
  if (b == 0) fault("division by zero");
  if (op == "/") return a / b;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest == 0) {
    rest = std::copysign(0.0, b);
  } else if ((rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == "%") return rest;
  const double whole = std::floor(quotient);
  if (quotient == 0) return std::copysign(0.0, a / b);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value repeat(Budget& budget, const Value& value, int64_t count) {
  const size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  if (const std::string* text = value.string()) {
    budget.allocate(text->size(), times);
    std::string out;
    if (!text->empty())
      for (size_t i = 0; i < times; ++i) out += *text;
    return out;
  }
  const Sequence& list = *value.sequence();
  budget.allocate(sizeof(Value) * list.items.size(), times);
  std::vector<Value> items;
  if (!list.items.empty())
    for (size_t i = 0; i < times; ++i)
      items.insert(items.end(), list.items.begin(), list.items.end());
  return make_sequence(budget, list.kind, std::move(items));
}

bool is_eager(const Value& value) {
  return value.sequence() != nullptr && value.sequence()->is_indexed();
}

[[noreturn]] void unsupported_operands(std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) undefined_fault(a);
  if (b.is_undefined()) undefined_fault(b);
  fault("'{}' is not supported between {} and {}", op, a.type(), b.type());
}

}  // namespace

Value binary(Budget& budget, std::string_view op, const Value& a, const Value& b) {
  int64_t room_a = 0, room_b = 0;
  const int64_t* left = a.integer(room_a);
  const int64_t* right = b.integer(room_b);
  if (left != nullptr && right != nullptr) return integers(op, *left, *right);
  if (a.is_number() && b.is_number()) return reals(op, a.number(), b.number());
  if (op == "+" && a.string() != nullptr && b.string() != nullptr) {
    budget.allocate(a.string()->size() + b.string()->size() + sizeof(Value));
    return *a.string() + *b.string();
  }
  const auto is_text = [](const Value& value) {
    return value.string() != nullptr || value.get_if<Value::Markup>() != nullptr;
  };
  if (op == "+" && is_text(a) && is_text(b)) {  // one is marked safe, so the other is escaped
    const auto escaped = [&](const Value& value) {
      return to_text(budget, find_filter("escape")(budget, value, {}));
    };
    return Value::Markup{std::make_shared<const std::string>(escaped(a) + escaped(b))};
  }
  if (op == "+" && is_eager(a) && is_eager(b) && a.sequence()->kind == b.sequence()->kind) {
    std::vector<Value> items = elements(budget, a);
    const std::vector<Value> more = elements(budget, b);
    items.insert(items.end(), more.begin(), more.end());
    return make_sequence(budget, a.sequence()->kind, std::move(items));
  }
  if (op == "*" && right != nullptr && (a.string() != nullptr || is_eager(a)))
    return repeat(budget, a, *right);
  if (op == "*" && left != nullptr && (b.string() != nullptr || is_eager(b)))
    return repeat(budget, b, *left);
  if (op == "%" && a.string() != nullptr) fault("formatting with '%' is not supported");
  unsupported_operands(op, a, b);
}

Value negative(const Value& value) {
  if (const auto* real = value.get_if<double>()) return -*real;
  int64_t room = 0;
  const int64_t* number = value.integer(room);
  if (value.is_undefined()) undefined_fault(value);
  if (number == nullptr) fault("a {} has no negative", value.type());
  return integers("-", 0, *number);
}

bool contains(Budget& budget, const Value& container, const Value& wanted) {
  if (container.is_undefined()) return false;
  if (const std::string* text = container.string()) {
    const std::string& part = need_string(wanted);
    budget.step(static_cast<int64_t>(text->size()) / 64);
    return text->find(part) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    if (wanted.sequence() != nullptr || wanted.dict() != nullptr)
      fault("a {} cannot be the key of a dict", wanted.type());
    return dict->find(budget, wanted) != nullptr;
  }
  const Sequence* list = container.sequence();
  if (list == nullptr) fault("'in' is not supported for a {}", container.type());
  return std::any_of(list->items.begin(), list->items.end(),
                     [&](const Value& item) { return equal(budget, item, wanted); });
}

bool compare(Budget& budget, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return equal(budget, a, b);
  if (op == "!=") return !equal(budget, a, b);
  if (op == "in") return contains(budget, b, a);
  if (op == "not in") return !contains(budget, b, a);
  if (a.is_undefined()) undefined_fault(a);
  if (b.is_undefined()) undefined_fault(b);
  if (a.is_number() && b.is_number() && (std::isnan(a.number()) || std::isnan(b.number())))
    return false;
  if (op == "<") return less(budget, a, b);
  if (op == ">") return less(budget, b, a);
  if (op == "<=") return !less(budget, b, a);
  return !less(budget, a, b);
}

namespace {

Value loop_attribute(const std::shared_ptr<Loop>& loop, std::string_view name) {
  const auto size = static_cast<int64_t>(loop->items.size());
  const int64_t i = loop->index0;
  if (name == "index") return i + 1;
  if (name == "index0") return i;
  if (name == "revindex") return size - i;
  if (name == "revindex0") return size - i - 1;
  if (name == "first") return i == 0;
  if (name == "last") return i + 1 >= size;
  if (name == "length") return size;
  if (name == "depth") return loop->depth0 + 1;
  if (name == "depth0") return loop->depth0;
  const auto at = [&](int64_t place) {
    return place < 0 || place >= size ? Value::undefined(name)
                                      : loop->items[static_cast<size_t>(place)];
  };
  if (name == "previtem") return at(i - 1);
  if (name == "nextitem") return at(i + 1);
  if (name == "cycle") {
    return std::make_shared<const Callable>(Callable{
        "cycle", [loop](Args& args) {
          if (args.positional.empty()) fault("cycle wants at least one value");
          return args.positional[static_cast<size_t>(loop->index0) % args.positional.size()];
        }});
  }
  if (name == "changed") {
    return std::make_shared<const Callable>(Callable{
        "changed", [loop](Args& args) {
          if (loop->ended) fault("loop.changed outside its loop is not supported");
          Budget budget;
          const auto same_value = [&](const Value& a, const Value& b) {
            return equal(budget, a, b);
          };
          const bool changed =
              !loop->changed_before ||
              !std::equal(args.positional.begin(), args.positional.end(),
                          loop->last_changed.begin(), loop->last_changed.end(), same_value);
          loop->changed_before = true;
          loop->last_changed = args.positional;
          return Value(changed);
        }});
  }
  return Value::undefined(name);
}

Value bound(Budget& budget, const Value& self, std::string_view name, Function method) {
  budget.allocate(sizeof(Callable) + 2 * sizeof(Value));
  return std::make_shared<const Callable>(
      Callable{std::string(name),
               [&budget, self, method](Args& args) { return method(budget, self, args); }});
}

// The place of a slice's end, as Python clamps it.
int64_t clamped(const Value& value, int64_t fallback, int64_t low, int64_t high, int64_t size) {
  if (value.is_none()) return fallback;
  int64_t room = 0;
  const int64_t* number = value.integer(room);
  if (value.is_undefined()) undefined_fault(value);
  if (number == nullptr) fault("a slice wants integers, found a {}", value.type());
  const int64_t place = *number < 0 ? std::max(*number, -size - 1) + size : *number;
  return std::clamp(place, low, high);
}

int64_t stride(const Value& step) {
  if (step.is_none()) return 1;
  int64_t room = 0;
  const int64_t* number = step.integer(room);
  if (step.is_undefined()) undefined_fault(step);
  if (number == nullptr) fault("a slice wants integers, found a {}", step.type());
  if (*number == 0) fault("the step of a slice is zero");
  return std::max<int64_t>(*number, -INT64_MAX);
}

}  // namespace

Value attribute(Budget& budget, const Value& value, std::string_view name) {
  if (value.is_undefined()) undefined_fault(value);
  if (value.get_if<Value::Markup>() != nullptr)
    fault("'{}' of text that is marked safe is not supported", name);
  if (name.starts_with("__")) fault("the attribute '{}' is not supported", name);
  if (const Function method = find_method(value, name)) return bound(budget, value, name, method);
  if (const Dict* dict = value.dict()) {
    const Value* found = dict->find(budget, Value(name));
    return found == nullptr ? Value::undefined(name) : *found;
  }
  if (const Namespace* names = value.name_space()) {
    const Value* found = names->find(name);
    return found == nullptr ? Value::undefined(name) : *found;
  }
  if (const auto* loop = value.get_if<std::shared_ptr<Loop>>()) return loop_attribute(*loop, name);
  return Value::undefined(name);
}

Value item(Budget& budget, const Value& value, const Value& key) {
  if (value.is_undefined()) undefined_fault(value);
  int64_t room = 0;
  const int64_t* index = key.integer(room);
  if (const Dict* dict = value.dict()) {
    if (key.sequence() == nullptr && key.dict() == nullptr)
      if (const Value* found = dict->find(budget, key)) return *found;
  } else if (index != nullptr && is_eager(value)) {
    const std::vector<Value>& items = value.sequence()->items;
    const auto size = static_cast<int64_t>(items.size());
    const int64_t place = *index < 0 ? *index + size : *index;
    if (place >= 0 && place < size) return items[static_cast<size_t>(place)];
  } else if (index != nullptr && value.string() != nullptr) {
    if (*index == INT64_MAX) return Value::undefined("item");
    const Value one = slice(budget, value, *index,
                            *index == -1 ? Value(Value::None{}) : Value(*index + 1), Value::None{});
    return one.string()->empty() ? Value::undefined("item") : one;
  }
  const std::string* name = key.string();
  if (name == nullptr) return Value::undefined(index == nullptr ? "item" : std::to_string(*index));
  if (value.dict() == nullptr) return attribute(budget, value, *name);
  if (const Function method = find_method(value, *name)) return bound(budget, value, *name, method);
  return Value::undefined(*name);
}

Value slice(Budget& budget, const Value& value, const Value& begin, const Value& end,
            const Value& step) {
  if (value.is_undefined()) undefined_fault(value);
  const bool text = value.string() != nullptr;
  if (!text && !is_eager(value)) fault("a {} cannot be sliced", value.type());
  const int64_t by = stride(step);
  const std::string empty;
  const std::string& characters = text ? *value.string() : empty;
  const auto size =
      static_cast<int64_t>(text ? count_characters(characters) : value.sequence()->items.size());
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  const int64_t first = clamped(begin, by > 0 ? 0 : size - 1, low, high, size);
  const int64_t last = clamped(end, by > 0 ? size : -1, low, high, size);
  budget.step(size / 64);

  std::vector<size_t> places;
  const auto more = [&](int64_t i) { return by > 0 ? i < last : i > last; };
  for (int64_t i = first; more(i);) {
    places.push_back(static_cast<size_t>(i));
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  if (!text) {
    std::vector<Value> items;
    for (const size_t place : places) items.push_back(value.sequence()->items[place]);
    return make_sequence(budget, value.sequence()->kind, std::move(items));
  }
  std::vector<size_t> offsets;  // of each character
  budget.allocate(sizeof(size_t), static_cast<size_t>(size));
  for (size_t i = 0; i < characters.size(); i += character_length(characters, i))
    offsets.push_back(i);
  std::string out;
  for (const size_t place : places)
    out += characters.substr(offsets[place], character_length(characters, offsets[place]));
  return make_string(budget, std::move(out));
}

}  // namespace trit::jinja
