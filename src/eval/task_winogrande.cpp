// WinoGrande is scored the other way round: each choice stands in the context, in place of the blank, and what is scored
// is the rest of the sentence (Trinh, Le 2018, "partial evaluation").

#include "base/error.h"
#include "eval/python_text.h"
#include "eval/task.h"

namespace trit {

Question winogrande_question(const Json& row, std::string_view where) {
  const std::string sentence = json_string(row, "sentence", where);
  const std::string answer = json_string(row, "answer", where);
  const size_t blank = sentence.find('_');
  if (blank == std::string::npos)
    bad_input("{}: field \"sentence\" has no '_' for its blank", where);
  if (answer != "1" && answer != "2")
    bad_input("{}: field \"answer\" is '{}'; it must be 1 or 2", where, printable(answer));
  Question question;
  for (const char* key : {"option1", "option2"}) {
    question.contexts.push_back(sentence.substr(0, blank) + json_string(row, key, where));
    question.lengths.push_back(python_length(question.contexts.back()));
  }
  question.continuations.push_back(
      fmt::format(" {}", python_strip(std::string_view(sentence).substr(blank + 1))));
  question.gold = answer == "1" ? 0 : 1;
  question.solved =
      question.contexts[static_cast<size_t>(question.gold)] + question.continuations[0];
  return question;
}

}  // namespace trit
