#pragma once
// Zero-shot and few-shot tasks: which of several continuations does a model find most likely? Prompts, the cut between
// context and continuation, normalisation and standard errors are those of EleutherAI's lm-evaluation-harness 0.4
// (docs/evaluation.md says where anything differs).
//
//   Place place("cpu");
//   const Model model = place.open(path);
//   const Tokenizer tokenizer = *open_tokenizer(path);
//   for (const TaskReport& report : run_tasks(place, model.weights(), tokenizer, {"arc_easy", "piqa"},
//                                             {.data = "eval", .limit = 100}))
//     use(report.metric("acc")->value);

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "infer/place.h"
#include "text/tokenizer.h"

namespace trit {

struct TaskOptions {
  Path data = {};        // the directory with the tasks' files (docs/evaluation.md names them)
  int64_t limit = 0;     // items of each task, the first ones; 0: all
  int64_t few_shot = 0;  // solved examples before each question
  uint64_t few_shot_seed = 1234;  // which ones: drawn as the harness draws them
  std::optional<bool> bos =
      {};  // texts begin with the tokenizer's bos; default: as the tokenizer has it
  KvType kv_type = KvType::kF32;  // how keys and values are kept
  // Items of `task` that are done, of all; called often.
  std::function<void(std::string_view task, int64_t done, int64_t all)> progress = {};
};

// A mean over the items, or for "perplexity" exp(-mean), with its standard error (NaN for a single item).
struct TaskMetric {
  std::string name;  // "acc", "acc_norm", "perplexity"
  double value = 0, standard_error = 0;
};

struct ScoredChoice {
  std::string context, continuation;  // what was scored; the context's few-shot examples included
  int64_t length = 0;                 // characters of the choice, by which acc_norm divides
  int64_t tokens = 0;                 // of the continuation
  double log_likelihood = 0;          // of the continuation behind the context, in nats
  bool greedy =
      false;  // each of its tokens is the most likely one; found where the task asks (LAMBADA)
};

struct ScoredItem {
  int64_t index = 0;                    // in the file, from 0
  int64_t gold = 0;                     // the right choice
  int64_t chosen = 0, chosen_norm = 0;  // the most likely one, as it is and for its length
  std::vector<ScoredChoice> choices;
};

struct TaskReport {
  std::string task;
  Path file;  // that the items are from
  int64_t few_shot = 0;
  std::vector<TaskMetric> metrics;  // in the harness's order
  std::vector<ScoredItem> items;
  double seconds = 0;
  int64_t tokens = 0;  // of all contexts and continuations
  int64_t reused = 0;  // of those: were not computed again, since another text began alike
  // Null when the task has no such metric.
  const TaskMetric* metric(std::string_view name) const;
};

// "arc_easy", "arc_challenge", ...: all there are, in the paper's order.
std::vector<std::string> task_names();
// The file of a task's items in `data`, when it is there. Throws Error listing the names for an unknown task.
std::optional<Path> task_file(std::string_view task, const Path& data);

// Scores the tasks on a model in the form for `place` (Place::open). Throws Error for an unknown task, for data that is missing
// or not in one of the task's forms (naming file, line and field), and for a model that fails.
std::vector<TaskReport> run_tasks(Place& place, const Weights& weights, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& tasks,
                                  const TaskOptions& options);

}  // namespace trit
