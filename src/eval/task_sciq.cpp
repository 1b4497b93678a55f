// SciQ: the supporting text stands before the question.

#include <fmt/format.h>

#include "eval/python_text.h"
#include "eval/task.h"

namespace trit {

Question sciq_question(const Json& row, std::string_view where) {
  const std::string support = json_string(row, "support", where);
  return multiple_choice(
      fmt::format("{}\nQuestion: {}\nAnswer:", python_lstrip(support),
                  json_string(row, "question", where)),
      {json_string(row, "distractor1", where), json_string(row, "distractor2", where),
       json_string(row, "distractor3", where), json_string(row, "correct_answer", where)},
      3, where);
}

}  // namespace trit
