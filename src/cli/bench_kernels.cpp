// trit bench kernels: what each kernel reaches of the machine.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "bench/kernel_bench.h"
#include "bench/number_list.h"
#include "bench/roofline_plot.h"
#include "cli/bench_output.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit bench kernels --quick
  trit bench kernels --only two_bit,base3 --shape 6912x2560 -b 1,16,512 -t 1,2
  trit bench kernels --only attention --shape 2B4T -d 512,4096
  trit bench kernels --only two_bit --isa all -b 1 --from memory --plot kernels.html

Kernels are named as in kernels.h; --only takes the beginnings of names. A row is one kernel with one shape (of products:
outputs x inputs), so many rows of activations (batch) and threads, its weights or cached keys and values read from
memory, from the L3 that cores share, or from each core's own
cache. GB/s are packed weights, keys and values (of rows of floats, all that
is read); GMAC/s multiply-adds. The limit is what alone would take longest, as measured in the same run: reading
at that level, or the best instruction for products that the instruction set has; "of limit" its share of the time.
)";

struct Options {
  std::string only, shapes, batches, threads, isas, from = "memory,cache", plot;
  std::string depths = "4096";
  bool quick = false, no_limits = false;
  int64_t dram_mib = 0;
  BenchOutput output;
};

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> list;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) list.push_back(word);
  return list;
}

constexpr bench::Source kSources[] = {bench::Source::kMemory, bench::Source::kL3,
                                      bench::Source::kCache};

std::vector<bench::Source> sources_of(const std::string& text) {
  std::vector<bench::Source> sources;
  for (const std::string& word : words(text)) {
    const auto* found = std::ranges::find(kSources, word, [](auto s) { return to_string(s); });
    if (found == std::end(kSources))
      bad_input("--from: '{}' must be memory, L3 or cache", printable(word));
    sources.push_back(*found);
  }
  return sources;
}

bench::KernelBenchOptions parsed(const Options& options) {
  bench::format_from(options.output.format,
                     "-o");  // what is wrong shows before anything is measured
  bench::KernelBenchOptions wanted;
  wanted.only = words(options.only);
  wanted.shapes = words(options.shapes);
  wanted.isas = words(options.isas);
  wanted.sources = sources_of(options.from);
  wanted.quick = options.quick;
  wanted.memory_bytes = options.dram_mib << 20;
  wanted.depths = bench::parse_numbers(options.depths, "-d", 1, 1 << 20);
  if (!options.batches.empty())
    wanted.batches = bench::parse_numbers(options.batches, "-b", 1, 4096);
  if (!options.threads.empty())
    wanted.threads = bench::parse_numbers(options.threads, "-t", 1, 1024);
  if (!options.plot.empty() && !options.plot.ends_with(".svg") && !options.plot.ends_with(".html"))
    bad_input("--plot: '{}' must end in .svg or .html", printable(options.plot));
  bench::plan_kernels(wanted);
  return wanted;
}

std::string table(const bench::KernelReport& report, const bench::Machine& machine,
                  std::vector<OrderedJson> rows) {
  constexpr bench::Column kColumns[] = {{"kernel", "kernel"},
                                        {"shape", "shape"},
                                        {"batch", "batch"},
                                        {"isa", "isa"},
                                        {"n_threads", "threads"},
                                        {"source", "from"},
                                        {"median_us", "us", 2, "spread_us"},
                                        {"gb_per_s", "GB/s", 2},
                                        {"gmac_per_s", "GMAC/s", 1},
                                        {"limit_percent", "of limit, %", 1},
                                        {"limit", "limit"}};
  for (OrderedJson& row : rows) {
    if (!row["limit_share"].is_null())
      row["limit_percent"] = 100 * row["limit_share"].get<double>();
  }
  std::string text = bench::markdown(kColumns, rows);
  for (const bench::NotMeasured& row : report.not_measured)
    text += fmt::format("\nnot measured: {}: {}", row.name, row.why);
  if (!report.not_measured.empty()) text += "\n";
  if (!machine.rates.empty()) text = fmt::format("{}\n\n{}", bench::describe(machine), text);
  return text;
}

void run(const Options& options) {
  bench::KernelBenchOptions wanted = parsed(options);
  const bool limits = !options.no_limits || !options.plot.empty();
  bench::Machine machine;
  if (limits) {
    bench::MachineOptions measured;
    measured.quick = options.quick;
    measured.dram_bytes = wanted.memory_bytes;
    measured.threads.assign(wanted.threads.begin(), wanted.threads.end());
    if (measured.threads.empty()) measured.threads = {thread_count()};
    machine = measure_machine_with_progress(measured);
  }
  std::unique_ptr<Progress> bar;
  wanted.progress = [&](int64_t done, int64_t total, const std::string& what) {
    if (!bar) bar = std::make_unique<Progress>("kernels", static_cast<uint64_t>(total));
    bar->update(static_cast<uint64_t>(done), what);
  };
  const bench::KernelReport report = bench::bench_kernels(wanted);
  bar.reset();
  if (!options.plot.empty()) {
    int most = 1;
    for (const bench::KernelResult& r : report.results) most = std::max(most, r.test.threads);
    bench::write_roofline(options.plot, "--plot", machine, most, bench::points_of(report, most));
  }
  const std::vector<OrderedJson> rows = bench::rows_of(report, machine);
  print_results(options.output, rows, bench::to_json(report, machine),
                [&] { return table(report, machine, rows); });
}

}  // namespace

void add_bench_kernels(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand("kernels", "what each kernel reaches of the machine");
  command->footer(kExamples);
  command->add_option("--only", options->only,
                      "beginnings of kernels' names, such as two_bit,attention_int8; default: all");
  command->add_option("--shape", options->shapes,
                      "OUTPUTSxINPUTS of a product, or a model such as 3B for all of its shapes; "
                      "default: 700M,3B,2B4T, with --quick 2B4T");
  command->add_option("-b,--batch", options->batches,
                      "rows of activations; default: 1 to 512 for tiles, 1 to 16 for heads");
  command->add_option("-d,--depth", options->depths, "positions in the cache, of attention")
      ->capture_default_str();
  command->add_option("-t", options->threads, "numbers of threads; default: --threads");
  command->add_option("--isa", options->isas, "instruction sets, or all; default: the best");
  command->add_option("--from", options->from, "where weights come from: memory, L3, cache")
      ->capture_default_str();
  command->add_flag("--quick", options->quick, "a few milliseconds for each row");
  command->add_flag("--no-limits", options->no_limits,
                    "do not measure the machine, show no shares of it");
  command
      ->add_option("--dram-mib", options->dram_mib,
                   "MiB that are read from memory; default: 1024, or 768 with --quick")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--plot", options->plot,
                      "file for a roofline with the products of most threads: .html or .svg");
  options->output.add_to(*command);
  command->callback([options] { run(*options); });
}

}  // namespace trit
