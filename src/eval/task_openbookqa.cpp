// OpenBookQA: the question's stem is the whole context.

#include "eval/task.h"

namespace trit {

Question openbookqa_question(const Json& row, std::string_view where) {
  const LabelledChoices choices = labelled_choices(row, where);
  return multiple_choice(question_stem(row, "question_stem", where), choices.texts, choices.gold,
                         where);
}

}  // namespace trit
