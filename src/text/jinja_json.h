#pragma once
// JSON <-> values of templates.

#include <optional>
#include <string>

#include "base/json.h"
#include "text/jinja_value.h"

namespace trit::jinja {

// Fault when it is nested deeper than kMaxDepth or a number does not fit in 64 bits.
Value from_json(Budget& budget, const OrderedJson& json);

struct JsonStyle {
  bool ascii = false;                 // other characters as \uXXXX
  std::optional<std::string> indent;  // per level; absent: all on one line
  std::string between, after_key;     // ", " and ": " unless told otherwise
  bool sort_keys = false;
};
// Python's json.dumps. Fault for what JSON cannot say.
std::string to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace trit::jinja
