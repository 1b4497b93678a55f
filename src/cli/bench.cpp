// trit bench: what the machine can do, and what kernels and models reach of it.

#include <memory>

#include "base/progress.h"
#include "cli/bench_output.h"
#include "cli/commands.h"

namespace trit {

bench::Machine measure_machine_with_progress(bench::MachineOptions options) {
  std::unique_ptr<Progress> bar;
  options.progress = [&](int64_t done, int64_t total, const std::string& what) {
    if (!bar) bar = std::make_unique<Progress>("machine", static_cast<uint64_t>(total));
    bar->update(static_cast<uint64_t>(done), what);
  };
  return bench::measure_machine(options);
}

void add_bench_command(CLI::App& program) {
  CLI::App* group = program.add_subcommand("bench", "measure the machine, kernels or a model");
  group->require_subcommand(1);
  group->footer(R"(
Examples:
  trit bench roofline --plot roofline.html
  trit bench kernels --only two_bit,base3 --quick
  trit bench model model.gguf -p 512 -n 128
  trit bench paper --device cuda
Each has its own --help. Measure on an idle machine: what else runs shows in the figures.
)");
  add_bench_roofline(*group);
  add_bench_kernels(*group);
  add_bench_model(*group);
  add_bench_paper(*group);
}

}  // namespace trit
