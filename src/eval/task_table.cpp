#include <algorithm>

#include "base/error.h"
#include "eval/task.h"

namespace trit {

// What a row names, of the task's own file.
Question arc_question(const Json& row, std::string_view where);
Question boolq_question(const Json& row, std::string_view where);
Question hellaswag_question(const Json& row, std::string_view where);
Question lambada_question(const Json& row, std::string_view where);
Question openbookqa_question(const Json& row, std::string_view where);
Question piqa_question(const Json& row, std::string_view where);
Question sciq_question(const Json& row, std::string_view where);
Question winogrande_question(const Json& row, std::string_view where);

// The paper's seven in its order, then what its table of 2T tokens adds.
std::span<const Task> tasks() {
  static const std::vector<Task> kTasks = {
      {.name = "arc_easy",
       .about = "ARC-Easy: grade-school science (arXiv 1803.05457)",
       .files = {"ARC-Easy-Test.jsonl", "ARC-Easy/test.jsonl", "arc_easy/test.jsonl"},
       .example_files = {"ARC-Easy-Train.jsonl", "ARC-Easy/train.jsonl", "arc_easy/train.jsonl"},
       .question = arc_question,
       .has_test_split = true,
       .normalised = true},
      {.name = "arc_challenge",
       .about = "ARC-Challenge: its questions that retrieval and co-occurrence get wrong",
       .files = {"ARC-Challenge-Test.jsonl", "ARC-Challenge/test.jsonl",
                 "arc_challenge/test.jsonl"},
       .example_files = {"ARC-Challenge-Train.jsonl", "ARC-Challenge/train.jsonl",
                         "arc_challenge/train.jsonl"},
       .question = arc_question,
       .has_test_split = true,
       .normalised = true},
      {.name = "hellaswag",
       .about = "HellaSwag: how a scene goes on (arXiv 1905.07830)",
       .files = {"hellaswag_val.jsonl", "hellaswag/validation.jsonl"},
       .example_files = {"hellaswag_train.jsonl", "hellaswag/train.jsonl"},
       .question = hellaswag_question,
       .normalised = true},
      {.name = "boolq",
       .about = "BoolQ: yes or no, from a passage (arXiv 1905.10044)",
       .files = {"BoolQ-val.jsonl", "BoolQ/val.jsonl", "boolq/validation.jsonl"},
       .example_files = {"BoolQ-train.jsonl", "BoolQ/train.jsonl", "boolq/train.jsonl"},
       .question = boolq_question},
      {.name = "openbookqa",
       .about = "OpenBookQA: elementary science with common knowledge (arXiv 1809.02789)",
       .files = {"OpenBookQA-Main-test.jsonl", "Main/test.jsonl", "openbookqa/test.jsonl"},
       .example_files = {"OpenBookQA-Main-train.jsonl", "Main/train.jsonl",
                         "openbookqa/train.jsonl"},
       .question = openbookqa_question,
       .has_test_split = true,
       .normalised = true},
      {.name = "piqa",
       .about = "PIQA: which way works (arXiv 1911.11641)",
       .files = {"piqa-valid.jsonl", "valid.jsonl", "piqa/validation.jsonl", "piqa/valid.jsonl"},
       .example_files = {"piqa-train.jsonl", "train.jsonl", "piqa/train.jsonl"},
       .question = piqa_question,
       .normalised = true},
      {.name = "winogrande",
       .about = "WinoGrande: whom a pronoun means (arXiv 1907.10641)",
       .files = {"winogrande_xl_dev.jsonl", "dev.jsonl", "winogrande/validation.jsonl"},
       .example_files = {"winogrande_xl_train.jsonl", "train_xl.jsonl", "winogrande/train.jsonl"},
       .question = winogrande_question},
      {.name = "sciq",
       .about = "SciQ: science exams with a supporting text (arXiv 1707.06209)",
       .files = {"sciq_test.jsonl", "sciq_test.json", "sciq/test.jsonl", "SciQ/test.json"},
       .example_files = {"sciq_train.jsonl", "sciq_train.json", "sciq/train.jsonl",
                         "SciQ/train.json"},
       .question = sciq_question,
       .has_test_split = true,
       .normalised = true},
      {.name = "lambada_openai",
       .about = "LAMBADA, OpenAI's version: a passage's last word (arXiv 1606.06031)",
       .files = {"lambada_openai_test.jsonl", "data/lambada_test_en.jsonl", "lambada_test.jsonl",
                 "lambada_openai/test.jsonl"},
       .question = lambada_question,
       .has_test_split = true,
       .last_word = true},
  };
  return kTasks;
}

const Task& find_task(std::string_view name) {
  const auto all = tasks();
  const auto found = std::ranges::find(all, name, &Task::name);
  if (found != all.end()) return *found;
  std::string names;
  for (const Task& task : all) names += fmt::format("{}{}", names.empty() ? "" : ", ", task.name);
  bad_input("'{}' is no task; there are {}", printable(name), names);
}

}  // namespace trit
