// trit bench paper: the paper's tables, ternary models beside their float16 twins.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "bench/number_list.h"
#include "bench/paper_bench.h"
#include "bench/paper_page.h"
#include "cli/bench_output.h"
#include "energy/rapl.h"
#include "infer/place.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit bench paper --device cuda
  trit bench paper --device cuda --sizes 3B,7B --append results.json
  trit bench paper --report results.json > page.md
  trit bench paper --sizes 700M --prompt 128 --batches 0 --no-largest

Ternary models and their float16 twins, of random weights: milliseconds a token, memory, prompts, many sequences
together, joules a token (NVML, RAPL), and single products, beside the paper's figures (arXiv 2402.17764, Table 1, Figure 2,
Table 3). --append adds to a report, whose sizes may have been measured one by one; figures that are measured again replace
the old ones.
)";

struct Options {
  std::string sizes, device = "cpu", weights = "both";
  std::string contexts = "1,512", batches = "64,256", kv_type = "f16";
  int64_t prompt = 2048, steps = 64, sequence = 512;
  double energy_seconds = 1.5;
  bool no_largest = false, no_products = false;
  std::string append, report, made_from;
  BenchOutput output;
};

std::vector<std::string> sizes_of(const Options& options, bool on_device) {
  std::string list = options.sizes;
  if (list.empty()) list = on_device ? "700M,1.3B,3B,3.9B,7B,13B,70B,2B4T" : "700M";
  std::vector<std::string> sizes;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    sizes.push_back(list.substr(at, end - at));
    preset(sizes.back());  // or it says which there are
    at = end + 1;
  }
  return sizes;
}

bench::PaperOptions parsed(const Options& options, bool on_device) {
  constexpr int64_t kMost = 1 << 20;
  bench::PaperOptions paper;
  paper.sizes = sizes_of(options, on_device);
  paper.device = options.device;
  if (options.weights != "both" && options.weights != "ternary" && options.weights != "float16") {
    bad_input("--weights: '{}' is neither ternary nor float16 nor both",
              printable(options.weights));
  }
  paper.ternary = options.weights != "float16";
  paper.float16 = options.weights != "ternary";
  paper.contexts = bench::parse_numbers(options.contexts, "--contexts", 1, kMost);
  std::ranges::sort(paper.contexts);
  paper.batches = bench::parse_numbers(options.batches, "--batches", 0, 1 << 14);
  std::erase(paper.batches, 0);
  std::ranges::sort(paper.batches);
  paper.kv_type = kv_type_from(options.kv_type);
  paper.prompt = options.prompt;
  paper.steps = options.steps;
  paper.sequence = options.sequence;
  paper.energy_seconds = options.energy_seconds;
  paper.largest = !options.no_largest;
  paper.products = !options.no_products;
  return paper;
}

bench::PaperReport read_report(const Path& path) {
  return bench::paper_report_from(parse_json(read_text(path), path.string()), path.string());
}

// Measures, and adds what there is to `report` as it comes.
void measure(const Options& options, bench::PaperReport& report) {
  const Place place(options.device);
  bench::PaperOptions paper = parsed(options, !place.is_cpu());
  std::unique_ptr<EnergyMeter> meter;
  if (place.is_cpu())
    meter = processor_meter(paper.no_meter);
  else
    meter = nvidia_meter(cuda_device(place.device()).bus, paper.no_meter);
  paper.meter = meter.get();
  Progress bar("paper", 0);
  uint64_t done = 0;
  paper.progress = [&](const std::string& what) { bar.update(++done, what); };
  paper.keep = [&](const bench::PaperReport& part) {
    bench::PaperReport run = part;
    run.made_from =
        options.made_from.empty() ? fmt::format("trit {}", TRIT_VERSION) : options.made_from;
    run.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
    report.add(run);
    if (!options.append.empty()) write_text(options.append, bench::to_json(report).dump(1) + "\n");
  };
  paper.keep(bench::bench_paper(paper));
}

void run(const Options& options) {
  bench::format_from(options.output.format, "-o");
  bench::PaperReport report;
  if (!options.report.empty()) {
    report = read_report(options.report);
  } else {
    // What is there must be right before minutes are spent.
    if (!options.append.empty() && std::filesystem::exists(options.append))
      report = read_report(options.append);
    measure(options, report);
  }
  print_results(options.output, bench::rows_of(report), bench::to_json(report),
                [&] { return bench::paper_page(report); });
}

}  // namespace

void add_bench_paper(CLI::App& group) {
  auto o = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand("paper", "the paper's tables, measured here");
  command->footer(kExamples);
  const auto option = [&](const char* name, auto& field, const char* help) {
    return command->add_option(name, field, help)->capture_default_str();
  };
  option("--device", o->device, "what runs the models: cpu, cuda or cuda:N");
  option("--sizes", o->sizes,
         "presets, such as 3B,7B; default: all of the paper's and 2B4T, on the CPU 700M");
  option("--weights", o->weights, "ternary, float16 or both");
  option("--contexts", o->contexts, "positions in the cache when tokens are timed");
  option("--steps", o->steps, "tokens that are timed")->check(CLI::Range(1, 4096));
  option("--prompt", o->prompt, "length of the prompt; 0: none")->check(CLI::Range(0, 1 << 20));
  option("--batches", o->batches, "numbers of sequences together; 0: none");
  option("--sequence", o->sequence, "their length")->check(CLI::Range(16, 1 << 20));
  command->add_flag("--no-largest", o->no_largest, "do not look for the largest batch");
  option("--kv-type", o->kv_type, "how keys and values are cached: f16, f32, int8 or int4");
  option("--energy-seconds", o->energy_seconds, "how long energy is measured; 0: not")
      ->check(CLI::Range(0.0, 600.0));
  command->add_flag("--no-products", o->no_products, "on a device: no single products");
  command->add_option("--append", o->append, "JSON report to add to, or to begin");
  command->add_option("--report", o->report, "measure nothing: show this JSON report");
  command->add_option("--made-from", o->made_from, "the commit to name in the report");
  o->output.add_to(*command);
  command->callback([o] { run(*o); });
}

}  // namespace trit
