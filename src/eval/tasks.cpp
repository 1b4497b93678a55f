#include "eval/tasks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/timer.h"
#include "eval/few_shot.h"
#include "eval/score.h"
#include "eval/task.h"
#include "eval/task_rows.h"

namespace trit {
namespace {

// ---- Questions and the examples before them ----

struct Questions {
  std::vector<Question> questions;
  std::vector<Json> rows;
  std::vector<std::string> where;
};

Questions read_questions(const Task& task, const Path& file, int64_t limit) {
  TaskRows rows = read_rows(file, limit);
  Questions all;
  for (size_t i = 0; i < rows.rows.size(); ++i)
    all.questions.push_back(task.question(rows.rows[i], rows.where[i]));
  if (all.questions.empty()) bad_input("{}: it has no rows", file.string());
  all.rows = std::move(rows.rows);
  all.where = std::move(rows.where);
  return all;
}

// Draws as the harness's sampler does, question after question. Where an example can be the question itself, one more is
// drawn and the question is left out.
class Examples {
 public:
  Examples(const Task& task, const TaskOptions& options, const Path& file)
      : count_(options.few_shot), random_(options.few_shot_seed) {
    if (count_ == 0) return;
    const std::optional<Path> own = find_rows(options.data, task.example_files);
    pool_ = read_questions(task, own.value_or(file), 0);
    // LAMBADA has but one file, from which the harness draws without looking.
    compares_ = !task.example_files.empty() && !(own && task.has_test_split);
    const int64_t needed = count_ + (compares_ ? 1 : 0);
    if (std::ssize(pool_.rows) < needed) {
      bad_input("{}: it has {} rows; {} examples before each question need {}",
                own.value_or(file).string(), pool_.rows.size(), count_, needed);
    }
  }

  std::string before(const Json& row) {
    std::string text;
    if (count_ == 0) return text;
    for (const int64_t i : draw(row))
      text += fmt::format("{}\n\n", pool_.questions[static_cast<size_t>(i)].solved);
    return text;
  }

 private:
  std::vector<int64_t> draw(const Json& row) {
    const auto size = std::ssize(pool_.rows);
    if (!compares_) return random_.sample(size, count_);
    const auto is_itself = [&](int64_t i) { return pool_.rows[static_cast<size_t>(i)] == row; };
    std::vector<int64_t> drawn = random_.sample(size, count_ + 1);
    std::erase_if(drawn, is_itself);
    if (std::ssize(drawn) < count_) {  // it is there more than once
      std::vector<int64_t> others;
      for (int64_t i = 0; i < size; ++i) {
        if (!is_itself(i)) others.push_back(i);
      }
      if (std::ssize(others) < count_)
        bad_input("too few different examples for {} before each question", count_);
      drawn = random_.sample(std::ssize(others), count_);
      for (int64_t& i : drawn) i = others[static_cast<size_t>(i)];
    }
    drawn.resize(static_cast<size_t>(count_));
    return drawn;
  }

  int64_t count_;
  PythonRandom random_;
  Questions pool_;
  bool compares_ = false;
};

std::vector<ScoredItem> items_of(const Task& task, const TaskOptions& options, const Path& file,
                                 std::vector<std::string>& where) {
  Questions all = read_questions(task, file, options.limit);
  Examples examples(task, options, file);
  std::vector<ScoredItem> items;
  for (size_t q = 0; q < all.questions.size(); ++q) {
    const Question& question = all.questions[q];
    const std::string before = examples.before(all.rows[q]);
    ScoredItem item;
    item.index = static_cast<int64_t>(q);
    item.gold = question.gold;
    const auto pick = [](const std::vector<std::string>& texts, size_t i) {
      return texts[texts.size() == 1 ? 0 : i];
    };
    for (size_t i = 0; i < question.lengths.size(); ++i) {
      ScoredChoice choice;
      choice.context = before + pick(question.contexts, i);
      choice.continuation = pick(question.continuations, i);
      choice.length = question.lengths[i];
      item.choices.push_back(std::move(choice));
    }
    items.push_back(std::move(item));
  }
  where = std::move(all.where);
  return items;
}

// ---- Scores ----

// The first of the largest.
template <class Value>
int64_t best(const std::vector<ScoredChoice>& choices, const Value& value) {
  return std::ranges::max_element(choices, {}, value) - choices.begin();
}

double per_character(const ScoredChoice& choice) {
  if (choice.length == 0) return -std::numeric_limits<double>::infinity();
  return choice.log_likelihood / static_cast<double>(choice.length);
}

void score(const Task& task, std::vector<ScoredItem>& items, std::span<const std::string> where,
           Place& place, const Weights& weights, const Tokenizer& tokenizer,
           const TaskOptions& options, TaskReport& report) {
  const bool bos = options.bos.value_or(tokenizer.add_bos());
  std::vector<Continuation> pairs;
  std::vector<ScoredChoice*> choices;
  for (ScoredItem& item : items) {
    for (ScoredChoice& choice : item.choices) {
      const std::string& place_of = where[static_cast<size_t>(item.index)];
      pairs.push_back(encode_pair(tokenizer, choice.context, choice.continuation, bos, place_of));
      fit(pairs.back(), weights.config.context, place_of);
      pairs.back().group = item.index;
      choice.tokens = std::ssize(pairs.back().tokens);
      report.tokens += std::ssize(pairs.back().context) + choice.tokens;
      choices.push_back(&choice);
    }
  }
  int64_t longest = 0, through = 0;
  for (const Continuation& pair : pairs)
    longest = std::max(longest, std::ssize(pair.context) + std::ssize(pair.tokens) - 1);
  std::vector<size_t> left;  // choices of each item that are not through
  for (const ScoredItem& item : items) left.push_back(item.choices.size());
  Scorer(place, weights, options.kv_type, longest)
      .score(pairs, task.last_word, [&](size_t i, const ContinuationScore& score) {
        choices[i]->log_likelihood = score.log_likelihood;
        choices[i]->greedy = score.greedy;
        report.reused += score.reused;
        if (--left[static_cast<size_t>(pairs[i].group)] > 0) return;
        ++through;
        if (options.progress) options.progress(task.name, through, std::ssize(items));
      });
  for (ScoredItem& item : items) {
    item.chosen = best(item.choices, &ScoredChoice::log_likelihood);
    item.chosen_norm = best(item.choices, per_character);
  }
}

// ---- Metrics ----

// Mean and the mean's standard error, from the sample's variance.
template <class Value>
TaskMetric mean(const char* name, const std::vector<ScoredItem>& items, const Value& value) {
  const auto n = static_cast<double>(items.size());
  double sum = 0, squares = 0;
  for (const ScoredItem& item : items) sum += value(item);
  const double mean = sum / n;
  for (const ScoredItem& item : items) squares += (value(item) - mean) * (value(item) - mean);
  return {name, mean, std::sqrt(squares / (n - 1)) / std::sqrt(n)};
}

std::vector<TaskMetric> metrics_of(const Task& task, const std::vector<ScoredItem>& items) {
  const auto yes = [](bool right) { return right ? 1.0 : 0.0; };
  if (task.last_word) {
    const TaskMetric likelihood =
        mean("", items, [](const ScoredItem& item) { return item.choices[0].log_likelihood; });
    const double perplexity = std::exp(-likelihood.value);
    return {
        {"perplexity", perplexity, perplexity * likelihood.standard_error},
        mean("acc", items, [&](const ScoredItem& item) { return yes(item.choices[0].greedy); })};
  }
  std::vector<TaskMetric> metrics = {
      mean("acc", items, [&](const ScoredItem& item) { return yes(item.chosen == item.gold); })};
  if (task.normalised) {
    metrics.push_back(mean("acc_norm", items, [&](const ScoredItem& item) {
      return yes(item.chosen_norm == item.gold);
    }));
  }
  return metrics;
}

TaskReport run_task(const Task& task, Place& place, const Weights& weights,
                    const Tokenizer& tokenizer, const TaskOptions& options) {
  const std::optional<Path> file = find_rows(options.data, task.files);
  if (!file) {
    std::string names;
    for (const auto name : task.files)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    bad_input("{}: no data for {}; it must have one of {} (or the same as .zst or .gz)",
              options.data.string(), task.name, names);
  }
  const Timer timer;
  TaskReport report;
  report.task = task.name;
  report.file = *file;
  report.few_shot = options.few_shot;
  std::vector<std::string> where;
  report.items = items_of(task, options, *file, where);
  score(task, report.items, where, place, weights, tokenizer, options, report);
  report.metrics = metrics_of(task, report.items);
  report.seconds = timer.seconds();
  return report;
}

}  // namespace

const TaskMetric* TaskReport::metric(std::string_view name) const {
  const auto found = std::ranges::find(metrics, name, &TaskMetric::name);
  return found == metrics.end() ? nullptr : &*found;
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Task& task : tasks()) names.emplace_back(task.name);
  return names;
}

std::optional<Path> task_file(std::string_view task, const Path& data) {
  return find_rows(data, find_task(task).files);
}

std::vector<TaskReport> run_tasks(Place& place, const Weights& weights, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& tasks,
                                  const TaskOptions& options) {
  if (options.limit < 0) bad_input("limit: {} is negative; it must be 0 or more", options.limit);
  if (options.few_shot < 0)
    bad_input("few-shot: {} is negative; it must be 0 or more", options.few_shot);
  for (const std::string& task : tasks) find_task(task);
  std::vector<TaskReport> reports;
  for (const std::string& task : tasks)
    reports.push_back(run_task(find_task(task), place, weights, tokenizer, options));
  return reports;
}

}  // namespace trit
