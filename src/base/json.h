#pragma once
// JSON from outside: parsed with a depth limit, read with errors that name file and field.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace trit {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps insertion order: what we write

// Parses text of the file `where` (used in errors only). Throws Error on a syntax error, on
// invalid UTF-8, on nesting deeper than 64, and on duplicate keys.
Json parse_json(std::string_view text, std::string_view where);

// Member `key` of object `object`, which came from the file `where`. Throws Error naming both when
// the object has no such member or it has another type or is out of range. With a fallback, a
// missing (or null) member gives that.
int64_t json_int(const Json& object, const char* key, std::string_view where, int64_t low,
                 int64_t high);
int64_t json_int_or(const Json& object, const char* key, std::string_view where, int64_t low,
                    int64_t high, int64_t fallback);
double json_number(const Json& object, const char* key, std::string_view where);
double json_number_or(const Json& object, const char* key, std::string_view where, double fallback);
std::string json_string(const Json& object, const char* key, std::string_view where);
std::string json_string_or(const Json& object, const char* key, std::string_view where,
                           std::string fallback);
bool json_bool_or(const Json& object, const char* key, std::string_view where, bool fallback);

}  // namespace trit
