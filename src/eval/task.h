#pragma once
// What a task is: one file that says how its rows become questions (task_NAME.cpp), one row in task_table.cpp.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace trit {

// A row of a task's data. As many choices as there are continuations or contexts, whichever are more; the other is
// then shared by all.
struct Question {
  std::vector<std::string> contexts;
  std::vector<std::string> continuations;  // with the space before them
  std::vector<int64_t> lengths;            // characters of each choice, by which acc_norm divides
  int64_t gold = 0;
  std::string solved;  // the question and its answer, as an example before others
};

struct Task {
  std::string_view name;
  std::string_view about;
  // Names of the files with the questions, and with the examples for few-shot prompts, below the data directory; the
  // first that is there counts. Each also as .zst or .gz.
  std::vector<std::string_view> files = {}, example_files = {};
  // Throws Error naming `where` and the field when the row is in none of the task's forms.
  Question (*question)(const Json& row, std::string_view where) = nullptr;
  bool has_test_split =
      false;  // in the harness: then examples, which are from another split, are not compared
  bool normalised = false;  // acc_norm beside acc
  bool last_word =
      false;  // one continuation: is it what greedy decoding gives (acc), how likely (perplexity)?
};

std::span<const Task> tasks();
const Task& find_task(std::string_view name);  // throws Error listing the names

// A question whose choices all stand behind one context: " choice" is what is scored. `gold` is checked.
Question multiple_choice(std::string context, const std::vector<std::string>& choices, int64_t gold,
                         std::string_view where);

// Choices with labels and the label of the right one, as ARC and OpenBookQA have them.
struct LabelledChoices {
  std::vector<std::string> texts;
  int64_t gold = 0;
};
// In AI2's form ("question": {"choices": [{"text", "label"}]}) or the Hugging Face form ("choices": {"text": [],
// "label": []}); the answer is row["answerKey"].
LabelledChoices labelled_choices(const Json& row, std::string_view where);
// row["question"]["stem"] in AI2's form, else row[key].
std::string question_stem(const Json& row, const char* key, std::string_view where);
// row[key] as a list of strings.
std::vector<std::string> json_strings(const Json& row, const char* key, std::string_view where);
// row[key], an integer, or a string of digits, in [0, count).
int64_t json_index(const Json& row, const char* key, std::string_view where, int64_t count);

}  // namespace trit
