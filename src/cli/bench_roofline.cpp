// trit bench roofline: what the machine can do.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "bench/number_list.h"
#include "bench/roofline_plot.h"
#include "cli/bench_output.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit bench roofline
  trit bench roofline --quick -t 1,2,4 -o csv
  trit bench roofline --plot roofline.html --save roofline.json

Rows: reading (L1, L2: half of each core's; L3, DRAM: sequential, in one or four streams, with the
hardware's prefetch alone or one in software), products of bytes and of floats and look-ups with all operands
in registers, and a loop through the thread pool in which the threads only meet. A MAC is a multiplication and an addition.
The median of several samples, and the spread within which half of them lie.
)";

struct Options {
  std::string threads, plot;
  bool quick = false;
  int64_t dram_mib = 0;
  BenchOutput output;
};

void run(const Options& options) {
  bench::format_from(options.output.format, "-o");  // a wrong one shows before anything is measured
  bench::MachineOptions wanted;
  wanted.quick = options.quick;
  wanted.dram_bytes = options.dram_mib << 20;
  if (!options.threads.empty()) {
    for (const int64_t n : bench::parse_numbers(options.threads, "-t", 1, 1024))
      wanted.threads.push_back(static_cast<int>(n));
  }
  if (!options.plot.empty() && !options.plot.ends_with(".svg") && !options.plot.ends_with(".html"))
    bad_input("--plot: '{}' must end in .svg or .html", printable(options.plot));
  const bench::Machine machine = measure_machine_with_progress(wanted);
  if (!options.plot.empty()) {
    int most = 1;
    for (const bench::MachineRate& r : machine.rates) most = std::max(most, r.threads);
    bench::write_roofline(options.plot, "--plot", machine, most, {});
  }
  const std::vector<OrderedJson> rows = bench::rows_of(machine);
  print_results(options.output, rows, bench::to_json(machine), [&] {
    constexpr bench::Column kColumns[] = {{"test", "test"},
                                          {"detail", "detail"},
                                          {"threads", "threads"},
                                          {"median", "median", 2, "spread"},
                                          {"unit", "unit"}};
    std::string text =
        fmt::format("{}\n\n{}", bench::describe(machine), bench::markdown(kColumns, rows));
    for (const bench::NotMeasured& row : machine.not_measured)
      text += fmt::format("\nnot measured: {}: {}", row.name, row.why);
    return text + fmt::format("{}\nmeasured in {:.1f} s\n",
                              machine.not_measured.empty() ? "" : "\n", machine.seconds);
  });
}

}  // namespace

void add_bench_roofline(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand("roofline", "what the machine can do");
  command->footer(kExamples);
  command->add_option("-t", options->threads,
                      "numbers of threads, such as 1,2 or 1-8*2; default: 1 and --threads");
  command->add_flag("--quick", options->quick, "within 3 seconds instead of 20");
  command
      ->add_option("--dram-mib", options->dram_mib,
                   "MiB of the DRAM rows; default: 1024, or 768 with --quick")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--plot", options->plot, "file for a drawing: .html or .svg");
  options->output.add_to(*command);
  command->callback([options] { run(*options); });
}

}  // namespace trit
