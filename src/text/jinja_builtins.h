#pragma once
// What templates may name: filters, tests and the methods of strings, lists and dicts.

#include <functional>
#include <string_view>

#include "text/jinja_value.h"

namespace trit::jinja {

using Function = Value (*)(Budget& budget, const Value& self, const Args& args);

// Null when there is none of that name. The result of a test is a boolean.
Function find_filter(std::string_view name);
Function find_test(std::string_view name);
// Of the type that `self` has. Those that would change a list or dict are refused when they are called.
Function find_method(const Value& self, std::string_view name);

bool takes_markup(std::string_view filter);       // works on text that is marked safe
bool is_unsupported_name(std::string_view name);  // of Jinja's global functions

// The parts of find_filter, by file.
Function find_text_filter(std::string_view name);
Function find_sequence_filter(std::string_view name);

// value.name: a method, else an item of a dict, an attribute of a namespace or of `loop`; else undefined.
Value attribute(Budget& budget, const Value& value, std::string_view name);
// value[key]: an item, else a method; undefined when there is neither.
Value item(Budget& budget, const Value& value, const Value& key);
// value[begin:end:step]; none and undefined stand for what is left out.
Value slice(Budget& budget, const Value& value, const Value& begin, const Value& end,
            const Value& step);
Value binary(Budget& budget, std::string_view op, const Value& a, const Value& b);
Value negative(const Value& value);
bool contains(Budget& budget, const Value& container, const Value& wanted);  // wanted in container
bool compare(Budget& budget, std::string_view op, const Value& a, const Value& b);

// The string of an argument or input; Fault names the type that it has instead.
const std::string& need_string(const Value& value);
[[noreturn]] void undefined_fault(const Value& value);

}  // namespace trit::jinja
