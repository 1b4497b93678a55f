// PIQA. Its labels are a file of their own as it was published, which the reader puts into the rows as "label".

#include <fmt/format.h>

#include "eval/task.h"

namespace trit {

Question piqa_question(const Json& row, std::string_view where) {
  return multiple_choice(fmt::format("Question: {}\nAnswer:", json_string(row, "goal", where)),
                         {json_string(row, "sol1", where), json_string(row, "sol2", where)},
                         json_index(row, "label", where, 2), where);
}

}  // namespace trit
