// Table 3: batches; and the details of every machine.

#include <fmt/format.h>

#include "bench/paper_bench.h"
#include "bench/paper_figures.h"
#include "bench/paper_model.h"
#include "bench/paper_page.h"
#include "report/report.h"

namespace trit::report {
namespace {

constexpr int64_t kSequence = 512;

// As many sequences as go into so much memory beside the weights: counted, not run.
int64_t counted_batch(const Config& config, double gigabytes) {
  const auto room = static_cast<int64_t>(gigabytes * 1e9) - bench::PaperModel::weight_bytes(config);
  if (room <= 0) return 0;
  return bench::largest_batch(config, {.sequences = 1, .positions = kSequence, .prompt_rows = 16},
                              room);
}

Table counted() {
  Table table;
  table.columns = {{"size", "size"},
                   {"memory", "memory, GB", 0},
                   {"float16", "float16, sequences"},
                   {"ternary", "ternary, sequences"},
                   {"ratio", "times", 1},
                   {"paper", "paper: float16, ternary (times)"}};
  struct Row {
    const char* size;
    double gigabytes;
  };
  const bench::PaperThroughput& p = bench::kPaperThroughput;
  for (const Row& r : {Row{"70B", 160}, Row{"13B", 80}, Row{"3B", 16}, Row{"3B", 8}}) {
    const int64_t full = counted_batch(bench::paper_config(r.size, false), r.gigabytes);
    const int64_t ternary = counted_batch(bench::paper_config(r.size, true), r.gigabytes);
    OrderedJson row = {{"size", r.size},
                       {"memory", r.gigabytes},
                       {"float16", full},
                       {"ternary", ternary},
                       {"ratio", nullptr}};
    if (full > 0) row["ratio"] = static_cast<double>(ternary) / static_cast<double>(full);
    if (std::string_view(r.size) == "70B") {
      row["paper"] = fmt::format("{:.0f}, {:.0f} ({:.1f})", p.float_batch, p.ternary_batch,
                                 p.ternary_batch / p.float_batch);
    }
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace

std::vector<Block> throughput_section(const ReportData& data) {
  const bench::PaperThroughput& p = bench::kPaperThroughput;
  std::vector<Block> blocks;
  blocks.emplace_back(Paragraph{fmt::format(
      "The paper runs 70B on two A100 of 80 GB, sequences of 512: float16 {:.0f} sequences, {:.0f} "
      "tokens/s; ternary {:.0f} sequences ({:.1f} times), {:.0f} tokens/s ({:.1f} times).",
      p.float_batch, p.float_speed, p.ternary_batch, p.ternary_batch / p.float_batch,
      p.ternary_speed, p.ternary_speed / p.float_speed)});
  for (size_t i = 0; i < data.machines.size(); ++i) {
    for (const std::string& cache : bench::caches_of(data.machines[i])) {
      for (const bench::PaperTable& table : bench::paper_tables(data.machines[i], cache)) {
        if (table.title != bench::kBatchTitle && table.title != bench::kLargestTitle) continue;
        blocks.emplace_back(
            Paragraph{fmt::format("Measured, {}, {} cache: {}. {}", machine_name(data, i), cache,
                                  table.title, table.text)});
        blocks.emplace_back(Table{table.columns, table.rows});
      }
    }
  }
  blocks.emplace_back(data.commands({"speed-"}));
  blocks.emplace_back(Paragraph{
      "Counted, not run: the largest batch of sequences of 512 in so much memory, from the sizes "
      "of weights, float16 caches and buffers that trit allocates. 70B has 8 key/value heads in "
      "trit's shape, so that its cache is an eighth of what as many heads as queries would take."});
  blocks.emplace_back(counted());
  return blocks;
}

std::vector<Block> every_figure_section(const ReportData& data) {
  std::vector<Block> blocks;
  for (size_t i = 0; i < data.machines.size(); ++i) {
    std::vector<std::string> caches = bench::caches_of(data.machines[i]);
    caches.emplace_back("");
    for (const std::string& cache : caches) {
      for (const bench::PaperTable& table : bench::paper_tables(data.machines[i], cache)) {
        blocks.emplace_back(Paragraph{fmt::format("{}{}: {}. {}", machine_name(data, i),
                                                  cache.empty() ? "" : ", " + cache + " cache",
                                                  table.title, table.text)});
        blocks.emplace_back(Table{table.columns, table.rows});
      }
    }
  }
  return blocks;
}

}  // namespace trit::report
