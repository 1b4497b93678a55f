// trit eval: zero-shot and few-shot tasks, as lm-evaluation-harness scores them.

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "eval/tasks.h"
#include "hub/resolve.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit eval model.gguf --data eval                           # all tasks whose data are there
  trit eval model.gguf --data eval --tasks arc_easy,piqa --limit 100
  trit eval model.gguf --data eval --tasks winogrande --few-shot 5 --json
  trit eval ORG/NAME --data eval --tasks lambada_openai --device cuda --output-items items.jsonl

Tasks: arc_easy, arc_challenge, hellaswag, boolq, openbookqa, piqa, winogrande (the paper's seven), sciq, lambada_openai.
Prompts, scores and standard errors are those of EleutherAI's lm-evaluation-harness; docs/evaluation.md names the data files
and says where to get them.
)";

struct Options {
  std::string model;
  std::string data;
  std::string tasks;
  int64_t limit = 0, few_shot = 0;
  uint64_t seed = 1234;
  std::string bos = "auto";
  std::string device = "cpu", kv_type = "f32";
  std::string items;
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("data", data, "directory with the tasks' files");
    v("tasks", tasks, "names, with commas between; default: all whose data are there");
    v("limit", limit, "items of each task, the first ones; 0: all");
    v("few-shot", few_shot, "solved examples before each question");
    v("seed", seed, "which examples; the harness's default");
    v("bos", bos,
      "texts begin with the tokenizer's bos: yes, no, or auto: as the tokenizer has it");
    v("device", device, "what runs the model: cpu, cuda or cuda:N");
    v("kv-type", kv_type, "how keys and values are kept: f32, f16, int8 or int4");
    v("output-items", items, "file to write each item and its scores to, a JSON object a line");
    v("json", json, "print the result as JSON");
  }
};

std::optional<bool> bos_from(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (name == "yes" || name == "no") return name == "yes";
  bad_input("--bos: '{}' is none of auto, yes and no", printable(name));
}

// Those named, or all whose data are there.
std::vector<std::string> chosen_tasks(const Options& options) {
  std::vector<std::string> names, missing;
  std::string_view left = options.tasks;
  while (!left.empty()) {
    const size_t comma = std::min(left.find(','), left.size());
    names.emplace_back(left.substr(0, comma));
    task_file(names.back(), options.data);  // refuses an unknown name
    left.remove_prefix(std::min(comma + 1, left.size()));
  }
  if (!names.empty()) return names;
  for (const std::string& name : task_names())
    (task_file(name, options.data) ? names : missing).push_back(name);
  if (names.empty()) bad_input("--data: {} has no task's data", options.data);
  for (const std::string& name : missing)
    fmt::print(stderr, "{}: no data in {}, left out\n", name, options.data);
  return names;
}

void write_items(const std::vector<TaskReport>& reports, const Path& path) {
  AtomicFile file(path);
  for (const TaskReport& report : reports) {
    for (const ScoredItem& item : report.items) {
      OrderedJson choices = OrderedJson::array();
      for (const ScoredChoice& c : item.choices) {
        choices.push_back({{"context", c.context},
                           {"continuation", c.continuation},
                           {"tokens", c.tokens},
                           {"length", c.length},
                           {"log_likelihood", c.log_likelihood},
                           {"greedy", c.greedy}});
      }
      const OrderedJson line = {{"task", report.task},
                                {"index", item.index},
                                {"gold", item.gold},
                                {"chosen", item.chosen},
                                {"chosen_norm", item.chosen_norm},
                                {"choices", choices}};
      file.write(line.dump() + "\n");
    }
  }
  file.commit();
}

OrderedJson number(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

void print_json(const Options& options, const Place& place,
                const std::vector<TaskReport>& reports) {
  OrderedJson tasks = OrderedJson::array();
  for (const TaskReport& report : reports) {
    OrderedJson task = {
        {"task", report.task}, {"file", report.file.string()}, {"items", report.items.size()}};
    for (const TaskMetric& metric : report.metrics) {
      task[metric.name] = number(metric.value);
      task[metric.name + "_stderr"] = number(metric.standard_error);
    }
    task["seconds"] = report.seconds;
    task["tokens"] = report.tokens;
    task["reused_tokens"] = report.reused;
    tasks.push_back(std::move(task));
  }
  const OrderedJson json = {
      {"model", options.model}, {"few_shot", options.few_shot}, {"limit", options.limit},
      {"bos", options.bos},     {"kv_type", options.kv_type},   {"runs_on", place.kernels()},
      {"tasks", tasks}};
  fmt::print("{}\n", json.dump(2));
}

void print_table(const std::vector<TaskReport>& reports) {
  fmt::print("{:<16}{:>7}  {:<20}{:<20}{:<20}{:>8}\n", "task", "items", "acc", "acc_norm",
             "perplexity", "seconds");
  for (const TaskReport& report : reports) {
    std::string line = fmt::format("{:<16}{:>7}  ", report.task, report.items.size());
    for (const char* name : {"acc", "acc_norm", "perplexity"}) {
      const TaskMetric* metric = report.metric(name);
      line += fmt::format(
          "{:<20}", metric == nullptr
                        ? std::string()
                        : fmt::format("{:.4f} +- {:.4f}", metric->value, metric->standard_error));
    }
    fmt::print("{}{:>8.1f}\n", line, report.seconds);
  }
}

void run(const Options& options) {
  if (options.data.empty())
    bad_input("--data: nothing given; it must be a directory with the tasks' files");
  TaskOptions settings;
  settings.data = options.data;
  settings.limit = options.limit;
  settings.few_shot = options.few_shot;
  settings.few_shot_seed = options.seed;
  settings.bos = bos_from(options.bos);
  settings.kv_type = kv_type_from(options.kv_type);
  const std::vector<std::string> tasks = chosen_tasks(options);
  const Path path = resolve_model(options.model);
  Place place(options.device);
  const Model model = place.open(path);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(path);
  if (!tokenizer) bad_input("{}: it has no tokenizer", options.model);
  std::unique_ptr<Progress> bar;
  std::string shown;
  settings.progress = [&](std::string_view task, int64_t done, int64_t all) {
    if (!bar || task != shown) bar = std::make_unique<Progress>(task, static_cast<uint64_t>(all));
    shown = task;
    bar->update(static_cast<uint64_t>(done));
  };
  const std::vector<TaskReport> reports =
      run_tasks(place, model.weights(), *tokenizer, tasks, settings);
  bar.reset();
  if (!options.items.empty()) write_items(reports, options.items);
  if (options.json) return print_json(options, place, reports);
  print_table(reports);
}

}  // namespace

void add_eval_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("eval", "score zero-shot tasks (ARC, HellaSwag, BoolQ, ...)");
  command->footer(kExamples);
  command
      ->add_option("model", options->model,
                   "GGUF file, Hugging Face directory, or a model that was pulled: ORG/NAME")
      ->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
