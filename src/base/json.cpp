#include "base/json.h"

#include <set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

constexpr int kMaxDepth = 64;

// "line 1, column 5: syntax error ... ; last read: ..." out of nlohmann's message.
std::string reason(const Json::exception& error) {
  const std::string_view what = error.what();
  const size_t prefix = what.find(": ");
  const std::string_view text = prefix == what.npos ? what : what.substr(prefix + 2);
  return printable(text.substr(0, text.find("; last read")));
}

// Sees every event of the parser; keeps the keys of the objects that are open.
class Guard {
 public:
  explicit Guard(std::string_view where) : where_(where) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kMaxDepth) {
        bad_input("{}: JSON is nested deeper than {} levels", where_, kMaxDepth);
      }
      if (event == Event::object_start) open_keys_.emplace_back();
    } else if (event == Event::object_end) {
      open_keys_.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_keys_.back().insert(key).second) {
        bad_input("{}: JSON key \"{}\" occurs twice in one object", where_, printable(key));
      }
    }
    return true;
  }

 private:
  std::string_view where_;
  std::vector<std::set<std::string>> open_keys_;
};

[[noreturn]] void wrong_value(std::string_view where, const char* key, const Json& value,
                              std::string_view expected) {
  const std::string text = value.is_structured()
                               ? std::string(value.type_name())
                               : value.dump(-1, ' ', true, Json::error_handler_t::replace);
  bad_input("{}: field \"{}\" is {}, expected {}", where, key, printable(text), expected);
}

// The member, or null when it is missing or null.
const Json* find(const Json& object, const char* key, std::string_view where) {
  if (!object.is_object()) {
    bad_input("{}: expected a JSON object with a field \"{}\", found {}", where, key,
              object.type_name());
  }
  const auto member = object.find(key);
  return member == object.end() || member->is_null() ? nullptr : &*member;
}

const Json& require(const Json& object, const char* key, std::string_view where,
                    std::string_view expected) {
  const Json* value = find(object, key, where);
  if (value == nullptr) bad_input("{}: field \"{}\" is missing, expected {}", where, key, expected);
  return *value;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  Guard guard(where);
  try {
    return Json::parse(text, [&guard](int depth, Json::parse_event_t event, Json& parsed) {
      return guard(depth, event, parsed);
    });
  } catch (const Json::exception& error) {
    bad_input("{}: not valid JSON: {}", where, reason(error));
  }
}

int64_t json_int(const Json& object, const char* key, std::string_view where, int64_t low,
                 int64_t high) {
  const std::string expected = fmt::format("an integer in [{}, {}]", low, high);
  const Json& value = require(object, key, where, expected);
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && !std::in_range<int64_t>(value.get<uint64_t>()));
  if (!fits) wrong_value(where, key, value, expected);
  const auto number = value.get<int64_t>();
  if (number < low || number > high) wrong_value(where, key, value, expected);
  return number;
}

int64_t json_int_or(const Json& object, const char* key, std::string_view where, int64_t low,
                    int64_t high, int64_t fallback) {
  return find(object, key, where) ? json_int(object, key, where, low, high) : fallback;
}

double json_number(const Json& object, const char* key, std::string_view where) {
  const Json& value = require(object, key, where, "a number");
  if (!value.is_number()) wrong_value(where, key, value, "a number");
  return value.get<double>();
}

double json_number_or(const Json& object, const char* key, std::string_view where,
                      double fallback) {
  return find(object, key, where) ? json_number(object, key, where) : fallback;
}

std::string json_string(const Json& object, const char* key, std::string_view where) {
  const Json& value = require(object, key, where, "a string");
  if (!value.is_string()) wrong_value(where, key, value, "a string");
  return value.get<std::string>();
}

std::string json_string_or(const Json& object, const char* key, std::string_view where,
                           std::string fallback) {
  return find(object, key, where) ? json_string(object, key, where) : std::move(fallback);
}

bool json_bool_or(const Json& object, const char* key, std::string_view where, bool fallback) {
  const Json* value = find(object, key, where);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) wrong_value(where, key, *value, "true or false");
  return value->get<bool>();
}

}  // namespace trit
