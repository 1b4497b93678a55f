// trit compare: BitNet b1.58 beside the full-precision LLaMA of the same shape, trained on the same
// tokens in the same order: the paper's Table 1 (arXiv 2402.17764), and the energy of Figure 3.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "bench/model_runner.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/train_progress.h"
#include "data/shards.h"
#include "energy/energy.h"
#include "eval/perplexity.h"
#include "infer/place.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit compare --data data --out comparison --preset micro --steps 500
  trit compare --data data --bitnet bitnet.gguf --llama llama.gguf
)";

constexpr int64_t kEnergyTokens = 512;  // length of the pass whose energy the paper models
constexpr int64_t kPromptTokens = 16, kTimedTokens = 64, kTimedRuns = 5;

struct Options {
  RunOptions run;
  std::string bitnet, llama, device = "cpu";
  double llama_lr = -1;
  bool json = false;
};

// One column of the comparison.
struct Figures {
  std::string name;
  int64_t parameters = 0, linear_parameters = 0, bytes = 0;
  double ms_per_token = 0, perplexity = 0, joules = 0;
};

// Trains one side into OUT/<side> (or goes on with it) and packs it into OUT/<side>.gguf.
Path trained(RunOptions run, Family family, const std::string& device) {
  const std::string side(to_string(family));
  const Path out = Path(run.out) / side, file = Path(run.out) / (side + ".gguf");
  run.out = out.string();
  run.family = side;
  const bool resume = std::filesystem::exists(out / "checkpoint");
  const RunReport report =
      train_with_progress(resume ? read_run_options(out) : run, resume, {.device = device});
  if (!report.finished) throw CLI::RuntimeError(kInterruptedExit);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(out / "checkpoint");
  GgufOptions gguf;
  gguf.embeddings = gguf.linears = FloatForm::kF16;
  write_gguf_model(file, Model::open(out / "checkpoint"), tokenizer ? &*tokenizer : nullptr, gguf);
  return file;
}

// Median time of a generated token behind a short prompt, the likeliest token found behind each.
double milliseconds_per_token(const Model& model, Place& place) {
  std::array<double, kTimedRuns> times{};
  const auto make = [&](const CpuBackendOptions& o) { return place.backend(model.weights(), o); };
  bench::ModelRunner runner(
      model.config(), make,
      {.kv_type = KvType::kF32, .positions = kPromptTokens + kTimedTokens, .candidates = 1});
  runner.prefill(kPromptTokens);
  for (double& time : times) {
    runner.rewind(kPromptTokens);
    const Timer timer;
    for (int64_t i = 0; i < kTimedTokens; ++i) runner.decode();
    time = timer.seconds() * 1e3 / static_cast<double>(kTimedTokens);
  }
  std::ranges::nth_element(times, times.begin() + kTimedRuns / 2);
  return times[kTimedRuns / 2];
}

Figures measure(const std::string& name, const Path& path, const TokenDataset& dataset,
                int64_t window, const std::string& device) {
  Place place(device);
  const Model model = place.open(path);
  const Config& config = model.config();
  if (config.vocabulary != dataset.vocab_size()) {
    bad_input("{}: its vocabulary has {} tokens, the dataset's {}", path.string(),
              config.vocabulary, dataset.vocab_size());
  }
  std::vector<int32_t> tokens(static_cast<size_t>(dataset.tokens(Split::kValid)));
  dataset.read(Split::kValid, 0, static_cast<int64_t>(tokens.size()), tokens.data());
  Progress progress("perplexity of " + name, tokens.size());
  Figures figures{name, config.parameters(), config.linear_parameters(), model.stored_bytes(), 0, 0,
                  0};
  const auto show = [&](int64_t done) { progress.update(static_cast<uint64_t>(done)); };
  const PerplexityReport report =
      place.is_cpu() ? perplexity(model.weights(), tokens, window, show)
                     : perplexity(place, model.weights(), KvType::kF32, tokens, window, show);
  figures.perplexity = report.perplexity();
  progress.finish();
  figures.ms_per_token = milliseconds_per_token(model, place);
  const EnergyShape shape = energy_shape(config);
  figures.joules = config.weights == WeightKind::kFloat
                       ? float_pass_energy(shape, kEnergyTokens, kEnergy7nm.fp16).total()
                       : bitnet_pass_energy(shape, kEnergyTokens, kEnergy7nm).total();
  return figures;
}

OrderedJson to_json(const Figures& f) {
  return {{"parameters", f.parameters}, {"linear_parameters", f.linear_parameters},
          {"bytes", f.bytes},           {"ms_per_token", f.ms_per_token},
          {"perplexity", f.perplexity}, {"modelled_joules", f.joules}};
}

// "avx512vnni on 2 threads", "NVIDIA H200"
std::string runs_on(const Place& place) {
  return place.is_cpu() ? fmt::format("{} on {} thread(s)", place.kernels(), thread_count())
                        : place.kernels();
}

void print_table(const Figures& llama, const Figures& bitnet, const Place& place) {
  fmt::print("{:<14}{:>12}{:>21}{:>21}{:>12}{:>24}\n", "model", "parameters", "weights",
             "ms per token", "perplexity", "modelled energy");
  for (const Figures& f : {llama, bitnet}) {
    const auto with_ratio = [](const std::string& value, double ratio) {
      return fmt::format("{} ({:.2f}x)", value, ratio);
    };
    fmt::print(
        "{:<14}{:>12}{:>21}{:>21}{:>12.3f}{:>24}\n", f.name,
        human_count(static_cast<double>(f.parameters)),
        with_ratio(human_bytes(static_cast<double>(f.bytes)),
                   static_cast<double>(llama.bytes) / static_cast<double>(f.bytes)),
        with_ratio(fmt::format("{:.3f}", f.ms_per_token), llama.ms_per_token / f.ms_per_token),
        f.perplexity,
        with_ratio(fmt::format("{:.3f} mJ", f.joules * 1e3), llama.joules / f.joules));
  }
  fmt::print(
      "\nweights: as stored, float16 where not ternary.  ms per token: median of {} runs of {} "
      "tokens behind a prompt\n"
      "of {}, {}.  perplexity: held-out split.  energy: matrix products of a pass "
      "over {} tokens by\n"
      "the paper's model at 7 nm (arithmetic alone, not measured).  Ratios against LLaMA, above 1 "
      "is better.\n",
      kTimedRuns, kTimedTokens, kPromptTokens, runs_on(place), kEnergyTokens);
}

void run(const Options& options) {
  if (options.run.data.empty()) bad_input("--data: nothing given; it must be a dataset directory");
  const bool train_any = options.bitnet.empty() || options.llama.empty();
  if (train_any && options.run.out.empty()) {
    bad_input("--out: nothing given; it must be a directory for the models that are trained");
  }
  const Place place(options.device);
  catch_interrupts();
  RunOptions llama_run = options.run;
  llama_run.lr = options.llama_lr;
  llama_run.lr_second = llama_run.lr_end = -1;
  const Path bitnet = options.bitnet.empty() ? trained(options.run, Family::kBitNet, options.device)
                                             : Path(options.bitnet);
  const Path llama = options.llama.empty() ? trained(llama_run, Family::kLlama, options.device)
                                           : Path(options.llama);
  const TokenDataset dataset = TokenDataset::open(options.run.data);
  const Figures baseline =
      measure("LLaMA FP16", llama, dataset, options.run.sequence_length, options.device);
  const Figures ternary =
      measure("BitNet b1.58", bitnet, dataset, options.run.sequence_length, options.device);
  if (!options.json) return print_table(baseline, ternary, place);
  const OrderedJson json = {{"llama", to_json(baseline)},
                            {"bitnet", to_json(ternary)},
                            {"isa", place.kernels()},
                            {"threads", thread_count()}};
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void add_compare_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "compare", "BitNet b1.58 beside its LLaMA twin: size, speed, perplexity, energy");
  command->footer(kExamples);
  command->add_option("--bitnet", options->bitnet, "ternary model; default: train one in --out");
  command->add_option("--llama", options->llama,
                      "full-precision model; default: train one in --out");
  command->add_option("--llama-lr", options->llama_lr,
                      "peak learning rate of the LLaMA; -1: the family's");
  command
      ->add_option("--device", options->device,
                   "what trains the models and runs them: cpu, cuda or cuda:N")
      ->capture_default_str();
  options->run.visit(FlagVisitor(*command));
  command->add_flag("--json", options->json, "print the figures as JSON");
  command->callback([options] { run(*options); });
}

}  // namespace trit
