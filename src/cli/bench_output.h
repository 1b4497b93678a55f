#pragma once
// What the commands of `trit bench` have in common: where results go.

#include <fmt/format.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "bench/machine.h"
#include "bench/table.h"
#include "cli/options.h"

namespace trit {

struct BenchOutput {
  std::string format = "md";
  std::string save;
  void add_to(CLI::App& command) {
    command.add_option("-o,--output", format, "print: md, json, jsonl or csv")
        ->capture_default_str();
    command.add_option("--save", save, "file to write the JSON to, beside what is printed");
  }
};

// Prints `rows` in that format (`table` makes the Markdown, `whole` the JSON) and saves the JSON.
inline void print_results(const BenchOutput& output, std::span<const OrderedJson> rows,
                          const OrderedJson& whole, const std::function<std::string()>& table) {
  const auto replace = OrderedJson::error_handler_t::replace;
  const std::string json = whole.dump(2, ' ', false, replace) + "\n";
  if (!output.save.empty()) write_text(output.save, json);
  switch (bench::format_from(output.format, "-o")) {
    case bench::Format::kMarkdown:
      fmt::print("{}", table());
      break;
    case bench::Format::kJson:
      fmt::print("{}", json);
      break;
    case bench::Format::kJsonl:
      fmt::print("{}", bench::jsonl(rows));
      break;
    case bench::Format::kCsv:
      fmt::print("{}", bench::csv(rows));
      break;
  }
}

// measure_machine() under a progress bar.
bench::Machine measure_machine_with_progress(bench::MachineOptions options);

void add_bench_roofline(CLI::App& group);
void add_bench_kernels(CLI::App& group);
void add_bench_model(CLI::App& group);
void add_bench_paper(CLI::App& group);

}  // namespace trit
