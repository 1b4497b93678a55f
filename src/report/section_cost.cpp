// Table 1 and Figure 2: what ternary weights cost and save.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "bench/paper_figures.h"
#include "report/chart.h"
#include "report/published.h"
#include "report/report.h"

namespace trit::report {
namespace {

using M = bench::PaperMeasure;
constexpr const char* kWeights[] = {"float16", "ternary"};

const char* model_name(std::string_view weights) {
  return weights == "ternary" ? "BitNet b1.58" : "LLaMA";
}

// Gigabytes: of a process that opens the file where that was measured, else what the model takes.
std::optional<double> gigabytes(const ReportData& data, size_t machine, const std::string& size,
                                const char* weights) {
  auto bytes = data.figure(machine, size, weights, M::kProcessMemory);
  if (!bytes) bytes = data.figure(machine, size, weights, M::kMemory);
  return bytes ? std::optional(*bytes * 1e-9) : std::nullopt;
}

void put(OrderedJson& row, std::optional<double> gb, std::optional<double> ms,
         std::optional<double> float_gb, std::optional<double> float_ms) {
  row["gb"] = value_or_null(gb);
  row["ms"] = value_or_null(ms);
  row["gb_ratio"] = gb && float_gb && *gb > 0 ? value_or_null(*float_gb / *gb) : nullptr;
  row["ms_ratio"] = ms && float_ms && *ms > 0 ? value_or_null(*float_ms / *ms) : nullptr;
}

// The rows of one size: the paper's two, then each machine's two.
void add_size(const ReportData& data, const bench::PaperSize& paper, Table& table) {
  const std::string size(paper.size);
  for (const char* weights : kWeights) {
    const bool ternary = std::string_view(weights) == "ternary";
    OrderedJson row = {{"size", size}, {"model", model_name(weights)}, {"source", "paper"}};
    put(row, ternary ? paper.ternary_gb : paper.float_gb,
        ternary ? paper.ternary_ms : paper.float_ms, paper.float_gb, paper.float_ms);
    for (const PublishedPerplexity& p : published_perplexities()) {
      if (size == p.size && std::string_view(p.weights) == weights) row["ppl"] = p.perplexity;
    }
    if (!row["gb"].is_null()) table.rows.push_back(row);
  }
  for (size_t i = 0; i < data.machines.size(); ++i) {
    for (const char* weights : kWeights) {
      OrderedJson row = {
          {"size", size}, {"model", model_name(weights)}, {"source", machine_name(data, i)}};
      put(row, gigabytes(data, i, size, weights), data.figure(i, size, weights, M::kTokenTime),
          gigabytes(data, i, size, "float16"), data.figure(i, size, "float16", M::kTokenTime));
      if (!row["gb"].is_null() || !row["ms"].is_null()) table.rows.push_back(row);
    }
  }
}

// The trained model and its twin.
Table trained(const ReportData& data) {
  Table table;
  table.columns = {{"model", "trained model"},
                   {"weights", "weights, MB", 2},
                   {"memory", "process, MB", 1},
                   {"ms", "ms a token", 3},
                   {"pp", "prompt, tokens/s", 0, "pp_spread"},
                   {"tg", "generated, tokens/s", 0, "tg_spread"},
                   {"ppl", "perplexity", 3},
                   {"interval", "95 % interval"},
                   {"tokens", "tokens"}};
  for (const char* name : {"twin", "model", "binary"}) {
    const std::string speed = std::string(name) + "-speed";
    const std::string perplexity = std::string(name) + "-perplexity-f32";
    if (data.part(speed) == nullptr) continue;
    const auto of_speed = [&](const char* pointer) { return data.number(speed, pointer); };
    OrderedJson row = {
        {"model", std::string_view(name) == "model"  ? data.options.model
                  : std::string_view(name) == "twin" ? data.options.twin + " (LLaMA)"
                                                     : data.options.binary + " (binary)"},
        {"weights", value_or_null(of_speed("/model/stored_bytes"), 1e-6)},
        {"memory", value_or_null(of_speed("/model/peak_memory_bytes"), 1e-6)},
        {"pp", value_or_null(of_speed("/results/0/median_ts"))},
        {"tg", value_or_null(of_speed("/results/1/median_ts"))},
        {"ms", value_or_null(of_speed("/results/1/ms_per_token"))},
        {"ppl", value_or_null(data.number(perplexity, "/perplexity"))}};
    if (const auto spread = of_speed("/results/0/spread_ts")) row["pp_spread"] = *spread;
    if (const auto spread = of_speed("/results/1/spread_ts")) row["tg_spread"] = *spread;
    if (const auto tokens = data.number(perplexity, "/tokens"))
      row["tokens"] = static_cast<int64_t>(*tokens);
    row["interval"] = data.interval(perplexity);
    table.rows.push_back(row);
  }
  table.columns = bench::filled_columns(table.columns, table.rows);
  return table;
}

}  // namespace

std::vector<Block> cost_section(const ReportData& data) {
  Table table;
  table.columns = {{"size", "size"},
                   {"model", "model"},
                   {"source", "measured by"},
                   {"gb", "memory, GB", 2},
                   {"gb_ratio", "times less", 2},
                   {"ms", "ms a token", 2},
                   {"ms_ratio", "times faster", 2},
                   {"ppl", "perplexity", 2}};
  for (const bench::PaperSize& size : bench::paper_sizes()) add_size(data, size, table);
  std::vector<Block> blocks;
  blocks.emplace_back(table);
  blocks.emplace_back(Paragraph{
      "Memory here: of a ternary model the most that a process ever took which opened its file and "
      "generated 64 tokens, the program itself included; of a float16 model what its weights, "
      "cache "
      "and buffers take. Latency: one sequence, the median token. Perplexity: the paper's, the "
      "mean "
      "of WikiText2 and C4; models of these sizes cannot be trained here."});
  blocks.emplace_back(data.commands({"memory-", "speed-"}));
  const Table models = trained(data);
  if (models.rows.empty()) {
    blocks.emplace_back(Missing{"a trained model", "none was given (--model FILE)"});
    return blocks;
  }
  blocks.emplace_back(models);
  if (!data.options.has_text())
    blocks.emplace_back(
        Missing{"their perplexity", "no held-out text was given (--text FILE, --dataset DIR)"});
  if (data.options.twin.empty())
    blocks.emplace_back(Missing{"the LLaMA twin", "no file was given (--twin FILE)"});
  blocks.emplace_back(
      data.commands({"model-speed", "twin-speed", "binary-speed", "model-perplexity-f32",
                     "twin-perplexity-f32", "binary-perplexity-f32"}));
  return blocks;
}

namespace {

// The paper's curves and each machine's, over the sizes that have any value.
Chart curves(const ReportData& data, const char* title, const char* unit, bool memory) {
  Chart chart{title, unit, {}, {}};
  std::vector<const bench::PaperSize*> sizes;
  for (const bench::PaperSize& size : bench::paper_sizes()) {
    if (size.float_ms > 0) sizes.push_back(&size);
  }
  for (const bench::PaperSize* size : sizes) chart.places.emplace_back(size->size);
  for (const char* weights : kWeights) {
    const bool ternary = std::string_view(weights) == "ternary";
    Series paper{fmt::format("{}, paper", model_name(weights)), {}};
    for (const bench::PaperSize* s : sizes) {
      paper.values.emplace_back(memory ? (ternary ? s->ternary_gb : s->float_gb)
                                       : (ternary ? s->ternary_ms : s->float_ms));
    }
    chart.series.push_back(std::move(paper));
  }
  for (size_t i = 0; i < data.machines.size(); ++i) {
    for (const char* weights : kWeights) {
      Series series{fmt::format("{}, {}", model_name(weights), machine_name(data, i)), {}};
      for (const std::string& size : chart.places) {
        series.values.push_back(memory ? gigabytes(data, i, size, weights)
                                       : data.figure(i, size, weights, M::kTokenTime));
      }
      if (std::ranges::any_of(series.values, [](const auto& v) { return v.has_value(); }))
        chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

}  // namespace

std::vector<Block> size_section(const ReportData& data) {
  return {
      Drawing{"latency", "Milliseconds a generated token, one sequence. The paper names no device.",
              chart_svg(curves(data, "Latency against size", "ms", false))},
      Drawing{"memory", "Memory while generating.",
              chart_svg(curves(data, "Memory against size", "GB", true))},
      Paragraph{"The figures are those of Table 1, where their commands stand."}};
}

}  // namespace trit::report
