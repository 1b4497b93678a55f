// BoolQ: the right answer is "label" in SuperGLUE's form (true or false, 1 or 0), "answer" in the first one.

#include <fmt/format.h>

#include "eval/task.h"

namespace trit {

Question boolq_question(const Json& row, std::string_view where) {
  const char* key = row.is_object() && row.contains("answer") ? "answer" : "label";
  const bool is_bool = row.is_object() && row.contains(key) && row[key].is_boolean();
  const int64_t gold = is_bool ? (row[key].get<bool>() ? 1 : 0) : json_index(row, key, where, 2);
  return multiple_choice(
      fmt::format("{}\nQuestion: {}?\nAnswer:", json_string(row, "passage", where),
                  json_string(row, "question", where)),
      {"no", "yes"}, gold, where);
}

}  // namespace trit
