// trit bench model: how fast a model is, and what share of the machine that is.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "bench/model_bench.h"
#include "bench/number_list.h"
#include "cli/bench_output.h"
#include "hub/resolve.h"
#include "infer/place.h"
#include "model/synthetic.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit bench model model.gguf
  trit bench model model.gguf -p 0 -n 64 -d 0,2048 -t 1,2
  trit bench model --like microsoft/bitnet-b1.58-2B-4T -r 3 -o json
  trit bench model --like 3B -p 0 -n 16 --batch 1-64*2
  trit bench model --like 3B --device cuda -d 0,512
  mpirun -n 2 trit bench model --like 70B --device cuda      # two devices

pp512 reads a prompt of 512 tokens, tg128 generates 128, "@ d4096" behind 4096 that are in the cache, "x 8" in
eight sequences side by side. Speeds count the tokens of all sequences. Behind each token the 40 largest logits are
found, which is what sampling with the default filters takes; the full head is not timed. GB/s are the weights and cached
keys and values that a token must read; "of read" is their share of what DRAM (of a device: its memory) gave in the same run
(above 100 % when they stay in a cache), "of peak" the share of the linear layers' products in what the kernels' instructions can make.
)";

struct Options {
  std::string model, like;
  std::string family = "bitnet";
  std::string prompts = "512", generate = "128", depths = "0", batches = "1", threads;
  std::string kv_type = "f16", device = "cpu";
  int64_t repeats = 5;
  int pipeline = 1;
  bool no_limits = false;
  BenchOutput output;
};

bench::ModelBenchOptions parsed(const Options& options) {
  constexpr int64_t kMost = 1 << 20;
  bench::format_from(options.output.format, "-o");
  bench::ModelBenchOptions bench;
  bench.prompts = bench::parse_numbers(options.prompts, "-p", 0, kMost);
  bench.generate = bench::parse_numbers(options.generate, "-n", 0, kMost);
  bench.depths = bench::parse_numbers(options.depths, "-d", 0, kMost);
  bench.batches = bench::parse_numbers(options.batches, "--batch", 1, 4096);
  if (!options.threads.empty())
    bench.threads = bench::parse_numbers(options.threads, "-t", 1, 1024);
  bench.kv_type = kv_type_from(options.kv_type);
  bench.repeats = options.repeats;
  bench.device = options.device;
  if (options.model.empty() == options.like.empty())
    bad_input("model or --like: one of them must be given");
  return bench;
}

// A published model's shape, or one that trit trains.
Model model_like(const Options& options) {
  constexpr uint64_t kSeed = 1;
  for (const Preset& shape : presets()) {
    if (shape.name == options.like) {
      return synthetic_model(as_family(shape.config, family_from(options.family)), DType::kF16,
                             kSeed);
    }
  }
  const PublishedModel& published = published_model(options.like);
  return synthetic_model(published.config, published.type, kSeed);
}

Model loaded(const Options& options, const Ranks& ranks) {
  const Place place(options.device, ranks);
  if (options.like.empty()) return place.open(resolve_model(options.model));
  if (place.is_cpu() && ranks.job() != nullptr)
    bad_input("--like: ranks of a job open a model's file on the CPU; see trit synth --help");
  Model model = model_like(options);
  place.arrange(model);
  return model;
}

std::string table(const bench::ModelReport& report, const bench::Machine& machine,
                  std::vector<OrderedJson> rows) {
  constexpr bench::Column kColumns[] = {{"test", "test"},
                                        {"n_threads", "threads"},
                                        {"median_ts", "tok/s", 2, "spread_ts"},
                                        {"ms_per_token", "ms/token", 2},
                                        {"mb_per_token", "MB/token", 1},
                                        {"gb_per_s", "GB/s", 2},
                                        {"read_percent", "of read, %", 1},
                                        {"gmac_per_s", "GMAC/s", 1},
                                        {"peak_percent", "of peak, %", 1}};
  for (OrderedJson& row : rows) {
    row["mb_per_token"] = row["bytes_per_token"].get<double>() / 1e6;
    for (const auto& [from, to] :
         {std::pair("read_share", "read_percent"), std::pair("peak_share", "peak_percent")}) {
      if (!row[from].is_null()) row[to] = 100 * row[from].get<double>();
    }
  }
  std::string text =
      fmt::format("{}: {} parameters, {} of weights, {} of cache a position\n\n{}", report.model,
                  human_count(static_cast<double>(report.config.parameters())),
                  human_bytes(static_cast<double>(report.stored_bytes)),
                  human_bytes(static_cast<double>(report.cache_bytes_per_position)),
                  bench::markdown(kColumns, rows));
  for (const bench::NotMeasured& row : report.not_measured)
    text += fmt::format("\nnot measured: {}: {}", row.name, row.why);
  if (!report.not_measured.empty()) text += "\n";
  text += fmt::format("\nloaded in {:.2f} s, ", report.load_seconds);
  if (report.load.arrange > 0) {
    text += fmt::format("of that reading {:.3f}, arranging {:.3f}, trying kernels {:.3f}, ",
                        report.load.read, report.load.arrange, report.load.check);
  }
  if (report.first_prompt > 0) {
    text += fmt::format("first token {:.2f} s later (behind {} tokens, cold), ",
                        report.first_token_seconds, report.first_prompt);
  }
  text += fmt::format("peak memory {}, {}\n", human_bytes(static_cast<double>(report.peak_memory)),
                      report.runs_on);
  if (report.on_device) {
    const BackendMemory& parts = report.device_parts;
    const auto size = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
    text += fmt::format(
        "{} in use on the device: {} of weights, {} of cache, {} to work in, and the driver's",
        size(report.device_memory), size(parts.weights), size(parts.cache), size(parts.work));
    if (report.device_read_rate > 0)
      text += fmt::format(", which can be read at {:.0f} GB/s", report.device_read_rate / 1e9);
    text += "\n";
  }
  if (!machine.rates.empty()) text += bench::describe(machine) + "\n";
  return text;
}

void run(const Options& options) {
  bench::ModelBenchOptions wanted = parsed(options);
  const Ranks ranks = ranks_of_job(options.pipeline);
  wanted.ranks = &ranks;
  const Timer timer;
  const Model model = loaded(options, ranks);
  if (!leads(ranks)) return bench::follow_model_bench(model, wanted);
  const double load_seconds = timer.seconds();
  auto bar = std::make_unique<Progress>("model", 0);
  wanted.progress = [&](int64_t done, int64_t total, const std::string& what) {
    if (done == 0) bar = std::make_unique<Progress>("model", static_cast<uint64_t>(total));
    bar->update(static_cast<uint64_t>(done), what);
  };
  bench::ModelReport report = bench::bench_model(
      model, options.like.empty() ? options.model : "shape of " + options.like, wanted);
  bar.reset();
  report.load_seconds = load_seconds;
  report.load = model.load_times();
  // Afterwards, so that its working sets are not counted in the peak memory.
  bench::Machine machine;
  if (!options.no_limits && report.on_device) {
    // Each rank of a tensor group reads its part at the same time.
    report.device_read_rate = cuda_read_rate(Place(options.device).device()) * ranks.tensor_size();
  } else if (!options.no_limits) {
    bench::MachineOptions limits;
    limits.limits_only = true;
    for (const bench::ModelResult& r : report.results) limits.threads.push_back(r.test.threads);
    machine = measure_machine_with_progress(limits);
  }
  const std::vector<OrderedJson> rows = bench::rows_of(report, machine);
  print_results(options.output, rows, bench::to_json(report, machine),
                [&] { return table(report, machine, rows); });
}

}  // namespace

void add_bench_model(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand("model", "how fast a model is");
  command->footer(kExamples);
  command->add_option("model", options->model,
                      "GGUF file, Hugging Face directory, or a model that was pulled: ORG/NAME");
  command->add_option(
      "--like", options->like,
      "instead: random weights in the shape of a published model (trit synth --help) or "
      "a preset such as 3B");
  command
      ->add_option("--family", options->family,
                   "with --like PRESET: bitnet, bitnet-paper, bitnet-2b4t, binary or llama")
      ->capture_default_str();
  command->add_option("-p,--n-prompt", options->prompts, "lengths of prompts; 0: none")
      ->capture_default_str();
  command->add_option("-n,--n-gen", options->generate, "tokens to generate; 0: none")
      ->capture_default_str();
  command->add_option("-d,--n-depth,--depth", options->depths, "positions in the cache before")
      ->capture_default_str();
  command->add_option("-b,--batch", options->batches, "sequences that generate side by side")
      ->capture_default_str();
  command->add_option("-t", options->threads, "numbers of threads; default: --threads");
  command
      ->add_option("--kv-type", options->kv_type,
                   "how keys and values are cached: f16, f32, int8 or int4")
      ->capture_default_str();
  command->add_option("--device", options->device, "what runs the model: cpu, cuda or cuda:N")
      ->capture_default_str();
  command
      ->add_option("--pipeline", options->pipeline,
                   "under mpirun: stages that the layers are divided among")
      ->capture_default_str();
  command->add_option("-r,--repetitions", options->repeats, "repetitions of a test")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--no-limits", options->no_limits,
                    "do not measure the machine, show no shares of it");
  options->output.add_to(*command);
  command->callback([options] { run(*options); });
}

}  // namespace trit
