// Tables 2 and 4: accuracy.

#include <fmt/format.h>

#include "report/published.h"
#include "report/report.h"

namespace trit::report {
namespace {

struct Score {
  double value = 0, error = 0;  // percent
};

// Of a task as the paper's Table 2 counts it: acc. Table 4: the mean of acc and acc_norm.
std::optional<Score> score_of(const ReportData& data, const std::string& model,
                              std::string_view task, bool mean_of_both) {
  const Json* json = data.result(model + "-tasks");
  if (json == nullptr || !json->contains("tasks")) return std::nullopt;
  for (const Json& row : (*json)["tasks"]) {
    if (row.value("task", "") != task || !row.contains("acc") || !row["acc"].is_number()) continue;
    const double acc = row["acc"].get<double>();
    const double norm = mean_of_both ? json_number_or(row, "acc_norm", "tasks", acc) : acc;
    return Score{50 * (acc + norm), 100 * json_number_or(row, "acc_stderr", "tasks", 0)};
  }
  return std::nullopt;
}

template <class Tasks>
void add_measured(const ReportData& data, const Tasks& tasks, bool mean_of_both, Table& table) {
  for (const char* name : {"twin", "model", "binary"}) {
    OrderedJson row = {{"model", std::string_view(name) == "model"  ? data.options.model
                                 : std::string_view(name) == "twin" ? data.options.twin + " (LLaMA)"
                                                                    : data.options.binary},
                       {"source", "here"}};
    double sum = 0;
    size_t found = 0;
    for (const char* task : tasks) {
      const auto score = score_of(data, name, task, mean_of_both);
      if (!score) continue;
      row[task] = fmt::format("{:.1f} ± {:.1f}", score->value, score->error);
      sum += score->value;
      ++found;
    }
    if (found == tasks.size()) row["average"] = sum / static_cast<double>(found);
    if (found > 0) table.rows.push_back(row);
  }
}

void end_of_section(const ReportData& data, size_t rows_before, const Table& table,
                    std::vector<Block>& blocks) {
  blocks.emplace_back(table);
  if (table.rows.size() > rows_before) {
    blocks.emplace_back(Paragraph{fmt::format(
        "Here: ± one standard error, over {}; prompts and scores are lm-evaluation-harness's. A "
        "guess among four gives 25, among two 50: so small a model guesses.",
        data.options.quick ? "the first 50 items of each task" : "all items")});
    blocks.emplace_back(data.commands({"model-tasks", "twin-tasks", "binary-tasks"}));
  } else if (data.options.data.empty()) {
    blocks.emplace_back(
        Missing{"accuracy of a model here", "no evaluation data was given (--data DIR)"});
  } else {
    const PartResult* part = data.part("model-tasks");
    blocks.emplace_back(Missing{"accuracy of a model here",
                                part == nullptr ? "no model was given (--model FILE)" : part->why});
  }
}

}  // namespace

std::vector<Block> zero_shot_section(const ReportData& data) {
  Table table;
  table.columns = {{"model", "model"},
                   {"source", "measured by"},
                   {"arc_easy", "ARC-e", 1},
                   {"arc_challenge", "ARC-c", 1},
                   {"hellaswag", "HellaSwag", 1},
                   {"boolq", "BoolQ", 1},
                   {"openbookqa", "OpenBookQA", 1},
                   {"piqa", "PIQA", 1},
                   {"winogrande", "WinoGrande", 1},
                   {"average", "average", 1}};
  for (const PublishedScores& p : published_scores()) {
    const bool ternary = std::string_view(p.weights) == "ternary";
    OrderedJson row = {{"model", fmt::format("{} {}", ternary ? "BitNet b1.58" : "LLaMA", p.size)},
                       {"source", "paper"}};
    for (size_t i = 0; i < kZeroShotTasks.size(); ++i) row[kZeroShotTasks[i]] = p.scores[i];
    row["average"] = p.average;
    table.rows.push_back(row);
  }
  const size_t before = table.rows.size();
  add_measured(data, kZeroShotTasks, false, table);
  std::vector<Block> blocks;
  end_of_section(data, before, table, blocks);
  return blocks;
}

std::vector<Block> long_run_section(const ReportData& data) {
  Table table;
  table.columns = {
      {"model", "model"},       {"source", "measured by"}, {"winogrande", "WinoGrande", 2},
      {"piqa", "PIQA", 2},      {"sciq", "SciQ", 2},       {"lambada_openai", "LAMBADA", 2},
      {"arc_easy", "ARC-e", 2}, {"average", "average", 2}};
  for (const PublishedLongRun& p : published_long_runs()) {
    OrderedJson row = {{"model", p.model}, {"source", "paper"}};
    for (size_t i = 0; i < kLongRunTasks.size(); ++i) row[kLongRunTasks[i]] = p.scores[i];
    row["average"] = p.average;
    table.rows.push_back(row);
  }
  const size_t before = table.rows.size();
  add_measured(data, kLongRunTasks, true, table);
  std::vector<Block> blocks;
  blocks.emplace_back(
      Paragraph{"The paper's models saw two trillion tokens; a model trained on such a machine as "
                "this sees a "
                "hundred thousand times fewer, and its row shows how scores are made, not how good "
                "such models "
                "are. Where a task has acc and acc_norm, their mean."});
  end_of_section(data, before, table, blocks);
  return blocks;
}

}  // namespace trit::report
