// trit train: a model from a dataset.

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/collectives.h"
#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/rank_guard.h"
#include "base/timer.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/train_progress.h"
#include "cli/train_watch.h"
#include "data/shards.h"
#include "train/plan.h"
#include "train/run.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit train --data data --out run --preset mini --steps 2000
  trit train --data data --out baseline --family llama --preset mini --steps 2000
  trit train --resume run
  trit train --data data --out run --preset 125M --device cuda
  trit train --plan --preset 1.3B --sequence-length 2048 --batch 512 --steps 100000 --hardware h200 --ranks 8
  mpirun -n 2 trit train --data data --out run --preset mini --steps 2000     # each rank half of every step
Ctrl-C saves and stops; --resume goes on, with bit for bit the weights of a run that was never stopped.
)";

struct Options {
  RunOptions run;
  StepPlace place;
  PlanOptions planned;
  std::string resume, config, hardware = "cpu";
  WatchOptions watching;
  SampleOptions samples;
  bool plan = false, hardware_given = false;
  bool json = false;
};

void print_plan(const Options& options) {
  PlanOptions planned = options.planned;
  planned.recompute = options.place.recompute;
  if (planned.vocabulary == 0 && !options.run.data.empty())
    planned.vocabulary = TokenDataset::open(options.run.data).vocab_size();
  const Plan plan = make_plan(options.run, hardware(options.hardware), planned);
  fmt::print("{}", options.json ? to_json(plan).dump(2) + "\n" : to_text(plan));
}

void run(const Options& options) {
  if (options.plan) return print_plan(options);
  guard_rank();
  const bool resume = !options.resume.empty();
  const RunOptions settings = resume ? read_run_options(options.resume) : options.run;
  catch_interrupts();
  WatchOptions watching = options.watching;
  if (options.hardware_given) watching.hardware = options.hardware;
  const RunReport report =
      train_with_progress(settings, resume, options.place, watching, options.samples);
  const bool speaks = world().rank() == 0;
  if (!speaks) {
    if (!report.finished) throw CLI::RuntimeError(kInterruptedExit);
    return;
  }
  if (options.json) {
    const OrderedJson json = {{"steps", report.steps},
                              {"finished", report.finished},
                              {"parameters", report.parameters},
                              {"linear_parameters", report.linear_parameters},
                              {"loss", report.loss},
                              {"valid_loss", report.valid_loss},
                              {"valid_perplexity", std::exp(report.valid_loss)},
                              {"seconds", report.seconds},
                              {"tokens_per_second", report.tokens_per_second},
                              {"peak_memory_bytes", peak_memory()}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}: step {} of {}, loss {:.4f}", settings.out, report.steps, settings.steps,
               report.loss);
    if (report.valid_loss > 0) {
      fmt::print(", held-out loss {:.4f} (perplexity {:.2f})", report.valid_loss,
                 std::exp(report.valid_loss));
    }
    fmt::print(", {} tok/s, {} at most\n", human_count(report.tokens_per_second),
               human_bytes(static_cast<double>(peak_memory())));
  }
  if (!report.finished) {
    fmt::print(stderr, "stopped and saved; go on with: trit train --resume {}\n", settings.out);
    throw CLI::RuntimeError(kInterruptedExit);
  }
}

}  // namespace

RunReport train_with_progress(const RunOptions& settings, bool resume, const StepPlace& place,
                              const WatchOptions& watching, const SampleOptions& samples) {
  Collectives& ranks = world();
  std::optional<TrainWatch> watch;
  const std::string here = place.device == "cpu" ? "cpu" : "h200";
  if (ranks.rank() == 0)
    watch.emplace(watching, settings,
                  hardware(watching.hardware.empty() ? here : watching.hardware), ranks.size());
  const RunObserver show = [&](const StepReport& step, int64_t total,
                               std::optional<double> valid_loss) {
    if (watch) watch->show(step, total, valid_loss);
    return !interrupted();
  };
  return train(settings, resume, show, place, &ranks, samples);
}

void add_train_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("train", "train a model from scratch");
  command->footer(kExamples);
  options->run.visit(FlagVisitor(*command));
  options->place.visit(FlagVisitor(*command));
  command->add_option(
      "--resume", options->resume,
      "run directory to go on with; its options come from it, where it runs does not");
  options->watching.visit(FlagVisitor(*command));
  command
      ->add_option("--sample-every", options->samples.every,
                   "steps between texts that the model writes, for log and live page; 0: none")
      ->capture_default_str();
  command->add_option("--sample-prompt", options->samples.prompt,
                      "how they begin; empty: as a document does");
  command->add_option("--config", options->config,
                      "file of options, as configs/ has them: preset = \"700M\" for --preset 700M; "
                      "what the command line gives wins");
  command->add_flag("--json", options->json, "print the result as JSON");
  command->add_flag("--plan", options->plan,
                    "print what the run will take, memory, operations, hours, joules, and end");
  command
      ->add_option("--hardware", options->hardware,
                   "of --plan, and for MFU: cpu, h100, h200 or a JSON file (docs/training.md)")
      ->capture_default_str();
  command->add_option("--ranks", options->planned.ranks, "of --plan: ranks")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--vocabulary", options->planned.vocabulary,
                      "of --plan: tokens; 0: those of --data, or the preset's");
  command->callback([options, command] {
    if (!options->config.empty() && !options->resume.empty())
      bad_input("--config: {}: a run that goes on has the options that it began with",
                options->config);
    if (!options->config.empty()) read_config(*command, options->config);
    options->hardware_given = command->count("--hardware") > 0;
    run(*options);
  });
}

}  // namespace trit
