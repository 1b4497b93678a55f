// ARC-Easy and ARC-Challenge.

#include <fmt/format.h>

#include "eval/task.h"

namespace trit {

Question arc_question(const Json& row, std::string_view where) {
  const LabelledChoices choices = labelled_choices(row, where);
  return multiple_choice(
      fmt::format("Question: {}\nAnswer:", question_stem(row, "question", where)), choices.texts,
      choices.gold, where);
}

}  // namespace trit
