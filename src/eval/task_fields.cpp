// Fields that several tasks have.

#include <charconv>

#include "base/error.h"
#include "eval/python_text.h"
#include "eval/task.h"

namespace trit {

Question multiple_choice(std::string context, const std::vector<std::string>& choices, int64_t gold,
                         std::string_view where) {
  if (gold < 0 || gold >= std::ssize(choices)) {
    bad_input("{}: the right answer is choice {}; there are {}", where, gold, choices.size());
  }
  Question question;
  for (const std::string& choice : choices) {
    question.lengths.push_back(python_length(choice));
    question.continuations.push_back(fmt::format(" {}", choice));
  }
  question.gold = gold;
  question.solved = context + question.continuations[static_cast<size_t>(gold)];
  question.contexts.push_back(std::move(context));
  return question;
}

std::vector<std::string> json_strings(const Json& row, const char* key, std::string_view where) {
  const auto list = row.is_object() ? row.find(key) : row.end();
  if (list == row.end() || !list->is_array())
    bad_input("{}: field \"{}\" must be a list of strings", where, key);
  std::vector<std::string> strings;
  for (const Json& text : *list) {
    if (!text.is_string()) {
      bad_input("{}: field \"{}\" has an element of type {}; it must be a list of strings", where,
                key, text.type_name());
    }
    strings.push_back(text.get<std::string>());
  }
  return strings;
}

int64_t json_index(const Json& row, const char* key, std::string_view where, int64_t count) {
  const auto member = row.is_object() ? row.find(key) : row.end();
  if (member == row.end() || !member->is_string()) return json_int(row, key, where, 0, count - 1);
  const auto& text = member->get_ref<const std::string&>();
  int64_t index = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index < 0 || index >= count) {
    bad_input("{}: field \"{}\" is '{}'; it must be a number in [0, {}]", where, key,
              printable(text), count - 1);
  }
  return index;
}

LabelledChoices labelled_choices(const Json& row, std::string_view where) {
  const Json& holder = row.is_object() && row.contains("question") && row["question"].is_object()
                           ? row["question"]
                           : row;
  const auto list = holder.is_object() ? holder.find("choices") : holder.end();
  if (list == holder.end()) bad_input("{}: field \"choices\" is missing", where);
  LabelledChoices choices;
  std::vector<std::string> labels;
  if (list->is_array()) {
    for (const Json& choice : *list) {
      choices.texts.push_back(json_string(choice, "text", where));
      labels.push_back(json_string(choice, "label", where));
    }
  } else {
    choices.texts = json_strings(*list, "text", where);
    labels = json_strings(*list, "label", where);
  }
  if (labels.size() != choices.texts.size()) {
    bad_input("{}: field \"choices\" has {} texts and {} labels; they must be as many", where,
              choices.texts.size(), labels.size());
  }
  const std::string key(python_lstrip(json_string(row, "answerKey", where)));
  while (choices.gold < std::ssize(labels) && labels[static_cast<size_t>(choices.gold)] != key)
    ++choices.gold;
  if (choices.gold == std::ssize(labels))
    bad_input("{}: field \"answerKey\" is '{}'; it must be a label of a choice", where,
              printable(key));
  return choices;
}

std::string question_stem(const Json& row, const char* key, std::string_view where) {
  if (row.is_object() && row.contains("question") && row["question"].is_object())
    return json_string(row["question"], "stem", where);
  return json_string(row, key, where);
}

}  // namespace trit
