// What may stand behind `is`.

#include <map>

#include "text/jinja_builtins.h"
#include "text/jinja_unicode.h"

namespace trit::jinja {
namespace {

bool is_int(const Value& value) { return value.get_if<int64_t>() != nullptr; }
bool is_bool(const Value& value) { return value.get_if<bool>() != nullptr; }

Value defined(Budget&, const Value& v, const Args&) { return !v.is_undefined(); }
Value undefined(Budget&, const Value& v, const Args&) { return v.is_undefined(); }
Value none(Budget&, const Value& v, const Args&) { return v.is_none(); }
Value boolean(Budget&, const Value& v, const Args&) { return is_bool(v); }
Value is_true(Budget&, const Value& v, const Args&) { return is_bool(v) && v.truthy(); }
Value is_false(Budget&, const Value& v, const Args&) { return is_bool(v) && !v.truthy(); }
Value integer(Budget&, const Value& v, const Args&) { return is_int(v); }
Value real(Budget&, const Value& v, const Args&) { return v.get_if<double>() != nullptr; }
Value number(Budget&, const Value& v, const Args&) { return v.is_number(); }
Value string(Budget&, const Value& v, const Args&) {
  return v.string() != nullptr || v.get_if<Value::Markup>() != nullptr;
}
Value mapping(Budget&, const Value& v, const Args&) { return v.dict() != nullptr; }
Value sequence(Budget&, const Value& v, const Args&) {
  return v.is_undefined() || v.string() != nullptr || v.dict() != nullptr ||
         (v.sequence() != nullptr && v.sequence()->is_indexed());
}
Value iterable(Budget&, const Value& v, const Args&) {
  return v.is_undefined() || v.string() != nullptr || v.dict() != nullptr ||
         v.sequence() != nullptr || v.get_if<std::shared_ptr<Loop>>() != nullptr;
}
Value callable(Budget&, const Value& v, const Args&) {
  return v.is_undefined() || v.get_if<std::shared_ptr<const Callable>>() != nullptr ||
         v.get_if<std::shared_ptr<Loop>>() != nullptr;
}
Value same_as(Budget&, const Value& v, const Args& args) { return same(v, args.need(0, "other")); }
Value inside(Budget& budget, const Value& v, const Args& args) {
  return contains(budget, args.need(0, "seq"), v);
}
Value upper(Budget& budget, const Value& v, const Args&) { return is_upper(to_text(budget, v)); }
Value lower(Budget& budget, const Value& v, const Args&) { return is_lower(to_text(budget, v)); }

Value odd(Budget& budget, const Value& v, const Args&) {
  return equal(budget, binary(budget, "%", v, 2), 1);
}
Value even(Budget& budget, const Value& v, const Args&) {
  return equal(budget, binary(budget, "%", v, 2), 0);
}
Value divisible_by(Budget& budget, const Value& v, const Args& args) {
  return equal(budget, binary(budget, "%", v, args.need(0, "num")), 0);
}

template <char first, char second>
Value compared(Budget& budget, const Value& v, const Args& args) {
  static constexpr char kOperator[] = {first, second};
  return compare(budget, std::string_view(kOperator, second == ' ' ? 1 : 2), v,
                 args.need(0, "other"));
}

Value filter(Budget&, const Value& v, const Args&) {
  return v.string() != nullptr && find_filter(*v.string()) != nullptr;
}
Value test(Budget&, const Value& v, const Args&) {
  return v.string() != nullptr && find_test(*v.string()) != nullptr;
}

}  // namespace

Function find_test(std::string_view name) {
  static const std::map<std::string_view, Function> table = {{"defined", defined},
                                                             {"undefined", undefined},
                                                             {"none", none},
                                                             {"boolean", boolean},
                                                             {"true", is_true},
                                                             {"false", is_false},
                                                             {"integer", integer},
                                                             {"float", real},
                                                             {"number", number},
                                                             {"string", string},
                                                             {"mapping", mapping},
                                                             {"sequence", sequence},
                                                             {"iterable", iterable},
                                                             {"callable", callable},
                                                             {"sameas", same_as},
                                                             {"in", inside},
                                                             {"upper", upper},
                                                             {"lower", lower},
                                                             {"odd", odd},
                                                             {"even", even},
                                                             {"divisibleby", divisible_by},
                                                             {"filter", filter},
                                                             {"test", test},
                                                             {"==", compared<'=', '='>},
                                                             {"eq", compared<'=', '='>},
                                                             {"equalto", compared<'=', '='>},
                                                             {"!=", compared<'!', '='>},
                                                             {"ne", compared<'!', '='>},
                                                             {"<", compared<'<', ' '>},
                                                             {"lt", compared<'<', ' '>},
                                                             {"lessthan", compared<'<', ' '>},
                                                             {"<=", compared<'<', '='>},
                                                             {"le", compared<'<', '='>},
                                                             {">", compared<'>', ' '>},
                                                             {"gt", compared<'>', ' '>},
                                                             {"greaterthan", compared<'>', ' '>},
                                                             {">=", compared<'>', '='>},
                                                             {"ge", compared<'>', '='>}};
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace trit::jinja
