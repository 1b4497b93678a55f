#include "text/jinja_value.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_unicode.h"

namespace trit::jinja {

void Budget::allocate(size_t size, size_t times) {
  size_t total = 0;
  if (__builtin_mul_overflow(size, times, &total) || total > static_cast<size_t>(bytes))
    fault("the template makes too much text");
  bytes -= static_cast<int64_t>(total);
}

Value Value::undefined(std::string_view name) {
  Value value;
  value.storage_ = Undefined{std::make_shared<const std::string>(name)};
  return value;
}

const std::string* Value::string() const {
  const Text* text = get_if<Text>();
  return text == nullptr ? nullptr : text->get();
}
const Sequence* Value::sequence() const {
  const auto* value = get_if<std::shared_ptr<const Sequence>>();
  return value == nullptr ? nullptr : value->get();
}
const Dict* Value::dict() const {
  const auto* value = get_if<std::shared_ptr<const Dict>>();
  return value == nullptr ? nullptr : value->get();
}
const Namespace* Value::name_space() const {
  const auto* value = get_if<std::shared_ptr<Namespace>>();
  return value == nullptr ? nullptr : value->get();
}

const int64_t* Value::integer(int64_t& room) const {
  if (const auto* number = get_if<int64_t>()) return number;
  const auto* flag = get_if<bool>();
  if (flag == nullptr) return nullptr;
  room = *flag ? 1 : 0;
  return &room;
}

bool Value::is_number() const {
  return get_if<int64_t>() != nullptr || get_if<double>() != nullptr || get_if<bool>() != nullptr;
}

double Value::number() const {
  if (const auto* value = get_if<double>()) return *value;
  int64_t room = 0;
  const int64_t* value = integer(room);
  return value == nullptr ? 0 : static_cast<double>(*value);
}

int Value::depth() const {
  if (const Sequence* list = sequence()) return list->depth;
  if (const Dict* map = dict()) return map->depth;
  return 0;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_number()) return number() != 0;
  if (const std::string* text = string()) return !text->empty();
  if (const auto* safe = get_if<Markup>()) return !safe->text->empty();
  if (const Sequence* list = sequence())
    return list->kind == Sequence::Kind::kLazy || !list->items.empty();
  if (const Dict* map = dict()) return !map->items.empty();
  return true;
}

std::string_view Value::type() const {
  static constexpr std::string_view kNames[] = {"undefined", "NoneType", "bool",        "int",
                                                "float",     "str",      "list",        "dict",
                                                "namespace", "function", "LoopContext", "Markup"};
  if (const Sequence* list = sequence()) {
    if (list->kind == Sequence::Kind::kTuple) return "tuple";
    if (list->kind == Sequence::Kind::kRange) return "range";
    if (list->kind == Sequence::Kind::kView) return "view of a dict";
    if (list->kind == Sequence::Kind::kLazy) return "generator";
  }
  return kNames[storage_.index()];
}

namespace {

int checked_depth(int deepest) {
  if (deepest >= kMaxDepth) fault("lists and dicts are nested more than {} deep", kMaxDepth);
  return deepest + 1;
}

}  // namespace

Value make_sequence(Budget& budget, Sequence::Kind kind, std::vector<Value> items) {
  budget.allocate(sizeof(Value), items.size() + 2);
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.depth());
  return std::make_shared<const Sequence>(Sequence{kind, std::move(items), checked_depth(deepest)});
}
Value make_list(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, Sequence::Kind::kList, std::move(items));
}
Value make_tuple(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, Sequence::Kind::kTuple, std::move(items));
}
Value make_lazy(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, Sequence::Kind::kLazy, std::move(items));
}
Value make_string(Budget& budget, std::string text) {
  budget.allocate(text.size() + sizeof(Value));
  return Value(std::move(text));
}

const Value* Dict::find(Budget& budget, const Value& key) const {
  if (const std::string* text = key.string()) {
    budget.step(static_cast<int64_t>(items.size()) / 16);
    return find(*text);
  }
  for (const auto& [known, value] : items)
    if (equal(budget, known, key)) return &value;
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [known, value] : items) {
    const std::string* text = known.string();
    if (text != nullptr && *text == key) return &value;
  }
  return nullptr;
}

Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> items) {
  Dict dict;
  int deepest = 0;
  for (auto& [key, value] : items) {
    if (key.string() == nullptr && !key.is_number() && !key.is_none())
      fault("a {} cannot be the key of a dict", key.type());
    deepest = std::max(deepest, value.depth());
    if (const Value* known = dict.find(budget, key)) {
      *const_cast<Value*>(known) = std::move(value);
    } else {
      dict.items.emplace_back(std::move(key), std::move(value));
    }
  }
  budget.allocate(2 * sizeof(Value), dict.items.size() + 1);
  dict.depth = checked_depth(deepest);
  return std::make_shared<const Dict>(std::move(dict));
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [known, value] : items)
    if (known == name) return &value;
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [known, old] : items) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  items.emplace_back(name, std::move(value));
}

const Value* Args::find(size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  for (const auto& [known, value] : named)
    if (known == name) return &value;
  return nullptr;
}

const Value& Args::need(size_t index, std::string_view name) const {
  const Value* value = find(index, name);
  if (value == nullptr) fault("argument {} ('{}') is missing", index + 1, name);
  return *value;
}

int64_t Args::integer_or(size_t index, std::string_view name, int64_t fallback) const {
  const Value* value = find(index, name);
  if (value == nullptr) return fallback;
  int64_t room = 0;
  const int64_t* number = value->integer(room);
  if (number == nullptr) fault("argument '{}' is a {}, not an integer", name, value->type());
  return *number;
}

bool Args::truthy_or(size_t index, std::string_view name, bool fallback) const {
  const Value* value = find(index, name);
  return value == nullptr ? fallback : value->truthy();
}

void Args::only(size_t count, std::initializer_list<std::string_view> names) const {
  if (positional.size() > count)
    fault("it has {} arguments and takes at most {}", positional.size(), count);
  for (const auto& [name, value] : named) {
    const auto place = std::find(names.begin(), names.end(), name);
    if (place == names.end()) fault("it takes no argument named '{}'", name);
    if (static_cast<size_t>(place - names.begin()) < positional.size())
      fault("argument '{}' is given twice", name);
  }
}

std::vector<Value> elements(Budget& budget, const Value& value) {
  if (value.is_undefined()) return {};
  if (const Sequence* list = value.sequence()) {
    budget.allocate(sizeof(Value), list->items.size());
    return list->items;
  }
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    budget.allocate(sizeof(Value), dict->items.size());
    for (const auto& [key, ignored] : dict->items) items.push_back(key);
    return items;
  }
  const std::string* text = value.string();
  if (text == nullptr) fault("a {} cannot be gone through", value.type());
  budget.allocate(2 * sizeof(Value) + sizeof(std::string), text->size());
  for (size_t i = 0; i < text->size();) {
    const size_t length = character_length(*text, i);
    items.emplace_back(text->substr(i, length));
    i += length;
  }
  return items;
}

}  // namespace trit::jinja
