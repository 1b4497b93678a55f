// Filters of lists and dicts.

#include <algorithm>
#include <map>

#include "text/jinja_builtins.h"
#include "text/jinja_unicode.h"

namespace trit::jinja {
namespace {

Value length(Budget&, const Value& value, const Args&) {
  if (value.is_undefined()) return 0;
  if (const std::string* text = value.string())
    return static_cast<int64_t>(count_characters(*text));
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  const Sequence* list = value.sequence();
  if (list == nullptr || list->kind == Sequence::Kind::kLazy)
    fault("a {} has no length", value.type());
  return static_cast<int64_t>(list->items.size());
}

Value list(Budget& budget, const Value& value, const Args&) {
  return make_list(budget, elements(budget, value));
}

Value first(Budget& budget, const Value& value, const Args&) {
  const std::vector<Value> items = elements(budget, value);
  return items.empty() ? Value::undefined("first") : items.front();
}

Value last(Budget& budget, const Value& value, const Args&) {
  if (value.sequence() != nullptr && value.sequence()->kind == Sequence::Kind::kLazy)
    fault("a generator has no last element");
  const std::vector<Value> items = elements(budget, value);
  return items.empty() ? Value::undefined("last") : items.back();
}

Value reverse(Budget& budget, const Value& value, const Args&) {
  if (value.string() != nullptr) return slice(budget, value, Value::None{}, Value::None{}, -1);
  std::vector<Value> items = elements(budget, value);
  std::reverse(items.begin(), items.end());
  return make_lazy(budget, std::move(items));
}

Value items(Budget& budget, const Value& value, const Args&) {
  if (value.is_undefined()) return make_lazy(budget, {});
  if (value.dict() == nullptr) fault("items wants a dict, found a {}", value.type());
  return make_lazy(budget, elements(budget, find_method(value, "items")(budget, value, {})));
}

// "a.0.b" -> value["a"][0]["b"]; nothing -> value.
Value path(Budget& budget, Value value, const Value* steps, const Value* fallback = nullptr) {
  if (steps == nullptr || steps->is_none()) return value;
  const auto step = [&](const Value& key) {
    value = item(budget, value, key);
    if (value.is_undefined() && fallback != nullptr && !fallback->is_none()) value = *fallback;
  };
  const std::string* names = steps->string();
  if (names == nullptr) {
    step(*steps);
    return value;
  }
  for (size_t begin = 0; begin <= names->size();) {
    const size_t end = std::min(names->find('.', begin), names->size());
    const std::string name = names->substr(begin, end - begin);
    const bool number =
        !name.empty() && name.size() < 10 &&
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    step(number ? Value(std::stoi(name)) : Value(name));
    begin = end + 1;
  }
  return value;
}

Value folded(Budget& budget, Value value, bool case_sensitive) {
  if (case_sensitive || value.string() == nullptr) return value;
  return make_string(budget, to_lower(*value.string()));
}

Value join(Budget& budget, const Value& value, const Args& args) {
  args.only(2, {"d", "attribute"});
  const Value* given = args.find(0, "d");
  const std::string between = given == nullptr ? "" : to_text(budget, *given);
  std::string out;
  bool begun = false;
  for (const Value& part : elements(budget, value)) {
    if (begun) out += between;
    begun = true;
    const std::string piece = to_text(budget, path(budget, part, args.find(1, "attribute")));
    budget.allocate(piece.size() + between.size());
    out += piece;
  }
  return out;
}

struct Keyed {
  Value key, value;
};

// Stable, as Python sorts; `reverse` keeps the order of equal ones as well.
std::vector<Keyed> sorted(Budget& budget, std::vector<Keyed> all, bool reverse) {
  // std::stable_sort must not be left by an exception with elements moved out; so sort places.
  std::vector<size_t> places(all.size());
  for (size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    const Value& left = all[reverse ? b : a].key;
    const Value& right = all[reverse ? a : b].key;
    return less(budget, left, right);
  });
  std::vector<Keyed> out;
  for (const size_t place : places) out.push_back(all[place]);
  return out;
}

// The keys by which sort, unique, min and max compare.
std::vector<Keyed> keyed(Budget& budget, const Value& value, const Value* attribute,
                         bool case_sensitive) {
  std::vector<Keyed> all;
  for (Value& element : elements(budget, value)) {
    Value key = folded(budget, path(budget, element, attribute), case_sensitive);
    all.push_back({std::move(key), std::move(element)});
  }
  return all;
}

// "a,b.c" -> "a" and "b.c".
std::vector<Value> several(const Value* attributes) {
  if (attributes == nullptr || attributes->string() == nullptr)
    return {attributes == nullptr ? Value(Value::None{}) : *attributes};
  std::vector<Value> parts;
  const std::string& names = *attributes->string();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    parts.emplace_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Value sort(Budget& budget, const Value& value, const Args& args) {
  args.only(3, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = args.truthy_or(1, "case_sensitive", false);
  const std::vector<Value> attributes = several(args.find(2, "attribute"));
  std::vector<Keyed> all;
  for (Value& element : elements(budget, value)) {
    std::vector<Value> key;
    for (const Value& attribute : attributes)
      key.push_back(folded(budget, path(budget, element, &attribute), case_sensitive));
    all.push_back({make_list(budget, std::move(key)), std::move(element)});
  }
  std::vector<Value> out;
  for (Keyed& one : sorted(budget, std::move(all), args.truthy_or(0, "reverse", false)))
    out.push_back(std::move(one.value));
  return make_list(budget, std::move(out));
}

Value dictsort(Budget& budget, const Value& value, const Args& args) {
  args.only(3, {"case_sensitive", "by", "reverse"});
  if (value.is_undefined()) undefined_fault(value);
  if (value.dict() == nullptr) fault("dictsort wants a dict, found a {}", value.type());
  const Value* given = args.find(1, "by");
  const std::string by = given == nullptr ? "key" : need_string(*given);
  if (by != "key" && by != "value") fault("dictsort: by '{}' must be key or value", by);
  std::vector<Keyed> all;
  for (const auto& [key, element] : value.dict()->items) {
    all.push_back(
        {folded(budget, by == "key" ? key : element, args.truthy_or(0, "case_sensitive", false)),
         make_tuple(budget, {key, element})});
  }
  std::vector<Value> out;
  for (Keyed& one : sorted(budget, std::move(all), args.truthy_or(2, "reverse", false)))
    out.push_back(std::move(one.value));
  return make_list(budget, std::move(out));
}

Value unique(Budget& budget, const Value& value, const Args& args) {
  args.only(2, {"case_sensitive", "attribute"});
  std::vector<Value> seen, out;
  for (Keyed& one : keyed(budget, value, args.find(1, "attribute"),
                          args.truthy_or(0, "case_sensitive", false))) {
    const auto known = [&](const Value& key) { return equal(budget, key, one.key); };
    if (std::any_of(seen.begin(), seen.end(), known)) continue;
    seen.push_back(one.key);
    out.push_back(std::move(one.value));
  }
  return make_lazy(budget, std::move(out));
}

Value extreme(Budget& budget, const Value& value, const Args& args, bool greatest) {
  args.only(2, {"case_sensitive", "attribute"});
  std::vector<Keyed> all =
      keyed(budget, value, args.find(1, "attribute"), args.truthy_or(0, "case_sensitive", false));
  if (all.empty()) return Value::undefined(greatest ? "max" : "min");
  size_t best = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    if (greatest ? less(budget, all[best].key, all[i].key)
                 : less(budget, all[i].key, all[best].key))
      best = i;
  }
  return all[best].value;
}
Value min(Budget& b, const Value& v, const Args& a) { return extreme(b, v, a, false); }
Value max(Budget& b, const Value& v, const Args& a) { return extreme(b, v, a, true); }

Value sum(Budget& budget, const Value& value, const Args& args) {
  args.only(2, {"attribute", "start"});
  const Value* start = args.find(1, "start");
  Value total = start == nullptr ? Value(0) : *start;
  for (const Value& element : elements(budget, value))
    total = binary(budget, "+", total, path(budget, element, args.find(0, "attribute")));
  return total;
}

// The filter or test that `args` name at `index`, and what is left of them for it.
struct Applied {
  Function function;
  Args args;
  Applied(const Args& all, size_t index, bool test) {
    const std::string& name = need_string(all.positional[index]);
    function = test ? find_test(name) : find_filter(name);
    if (function == nullptr) fault("{} '{}' is not supported", test ? "test" : "filter", name);
    args.positional.assign(all.positional.begin() + static_cast<std::ptrdiff_t>(index) + 1,
                           all.positional.end());
    args.named = all.named;
  }
};

Value map(Budget& budget, const Value& value, const Args& args) {
  std::vector<Value> out;
  if (!value.truthy()) return make_lazy(budget, {});
  if (args.positional.empty()) {
    args.only(0, {"attribute", "default"});
    const Value& steps = args.need(0, "attribute");
    for (const Value& element : elements(budget, value))
      out.push_back(path(budget, element, &steps, args.find(1, "default")));
    return make_lazy(budget, std::move(out));
  }
  const Applied filter(args, 0, false);
  for (const Value& element : elements(budget, value))
    out.push_back(filter.function(budget, element, filter.args));
  return make_lazy(budget, std::move(out));
}

Value chosen(Budget& budget, const Value& value, const Args& args, bool by_attribute, bool wanted) {
  const size_t index = by_attribute ? 1 : 0;
  if (by_attribute && args.positional.empty()) fault("the name of the attribute is missing");
  std::optional<Applied> test;
  if (args.positional.size() > index) test.emplace(args, index, true);
  std::vector<Value> out;
  if (!value.truthy()) return make_lazy(budget, {});
  for (Value& element : elements(budget, value)) {
    const Value subject = by_attribute ? path(budget, element, &args.positional[0]) : element;
    const Value result = test ? test->function(budget, subject, test->args) : subject;
    if (result.truthy() == wanted) out.push_back(std::move(element));
  }
  return make_lazy(budget, std::move(out));
}
Value select(Budget& b, const Value& v, const Args& a) { return chosen(b, v, a, false, true); }
Value reject(Budget& b, const Value& v, const Args& a) { return chosen(b, v, a, false, false); }
Value selectattr(Budget& b, const Value& v, const Args& a) { return chosen(b, v, a, true, true); }
Value rejectattr(Budget& b, const Value& v, const Args& a) { return chosen(b, v, a, true, false); }

Value attr(Budget& budget, const Value& value, const Args& args) {
  args.only(1, {"name"});
  if (value.dict() != nullptr && find_method(value, need_string(args.need(0, "name"))) == nullptr)
    return Value::undefined(*args.need(0, "name").string());
  return attribute(budget, value, need_string(args.need(0, "name")));
}

}  // namespace

Function find_sequence_filter(std::string_view name) {
  static const std::map<std::string_view, Function> table = {{"length", length},
                                                             {"count", length},
                                                             {"list", list},
                                                             {"first", first},
                                                             {"last", last},
                                                             {"reverse", reverse},
                                                             {"items", items},
                                                             {"join", join},
                                                             {"sort", sort},
                                                             {"dictsort", dictsort},
                                                             {"unique", unique},
                                                             {"min", min},
                                                             {"max", max},
                                                             {"sum", sum},
                                                             {"map", map},
                                                             {"select", select},
                                                             {"reject", reject},
                                                             {"selectattr", selectattr},
                                                             {"rejectattr", rejectattr},
                                                             {"attr", attr}};
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace trit::jinja
