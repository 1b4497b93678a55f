// LAMBADA: the last word of a passage.

#include <fmt/format.h>

#include "eval/python_text.h"
#include "eval/task.h"

namespace trit {

Question lambada_question(const Json& row, std::string_view where) {
  const std::string text = json_string(row, "text", where);
  const size_t space = text.rfind(' ');
  const size_t word = space == std::string::npos ? 0 : space + 1;
  Question question;
  question.contexts.push_back(text.substr(0, word == 0 ? 0 : space));
  question.continuations.push_back(fmt::format(" {}", text.substr(word)));
  question.lengths.push_back(python_length(question.continuations[0]));
  // Two spaces: the harness puts its own before an answer that has one.
  question.solved = fmt::format("{} {}", question.contexts[0], question.continuations[0]);
  return question;
}

}  // namespace trit
