#include "bench/paper_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bench/paper_bench.h"
#include "bench/paper_figures.h"
#include "bench/paper_model.h"
#include "bench/table.h"
#include "model/config.h"

namespace trit::bench {
namespace {

using M = PaperMeasure;
using Rows = std::vector<OrderedJson>;

OrderedJson known(double value) { return value > 0 ? OrderedJson(value) : OrderedJson(nullptr); }

// What the tables look up.
class Figures {
 public:
  // Those with this type of cache, or with none.
  Figures(const PaperReport& report, const std::string& cache) : report_(report) {
    for (const PaperFigure& f : report.figures)
      if (f.cache == cache || f.cache.empty()) figures_.push_back(f);
  }

  std::optional<double> get(const std::string& size, const char* weights, M measure,
                            int64_t tokens = -1, int64_t rows = -1) const {
    for (const PaperFigure& f : figures_) {
      if (f.size == size && f.weights == weights && f.measure == measure &&
          (tokens < 0 || f.tokens == tokens) && (rows < 0 || f.rows == rows))
        return f.value;
    }
    return std::nullopt;
  }
  // The values of a field that a measure has, in order.
  std::vector<int64_t> values(M measure, int64_t PaperFigure::*field) const {
    std::vector<int64_t> all;
    for (const PaperFigure& f : figures_) {
      if (f.measure == measure && std::ranges::find(all, f.*field) == all.end())
        all.push_back(f.*field);
    }
    std::ranges::sort(all);
    return all;
  }
  const PaperReport& report() const { return report_; }

 private:
  const PaperReport& report_;
  std::vector<PaperFigure> figures_;
};

// What is known of an H200 says nothing beside another machine's figures.
OrderedJson known_of_h200(const Figures& figures, double value) {
  const bool is_one = figures.report().device.find("H200") != std::string::npos;
  return is_one ? known(value) : OrderedJson(nullptr);
}

// Puts float16, ternary and how many times better that is into a row; `inverse`: less is better.
bool put_pair(OrderedJson& row, std::optional<double> full, std::optional<double> ternary,
              bool less_is_better, double scale = 1) {
  row["float16"] = full ? OrderedJson(*full * scale) : nullptr;
  row["ternary"] = ternary ? OrderedJson(*ternary * scale) : nullptr;
  row["ratio"] = nullptr;
  if (full && ternary) row["ratio"] = less_is_better ? *full / *ternary : *ternary / *full;
  return full || ternary;
}

PaperTable titled(const std::string& title, const std::string& text,
                  std::span<const Column> columns, const Rows& rows) {
  return {title, text, filled_columns(columns, rows), rows};
}

// Percent of what memory gives that reading the weights once a token makes.
OrderedJson read_share(const Figures& figures, const std::string& size, const char* weights,
                       int64_t tokens) {
  const auto ms = figures.get(size, weights, M::kTokenTime, tokens);
  const auto rate = figures.get("", "read", M::kReadRate);
  const auto named = [&](const Preset& p) { return p.name == size; };
  if (!ms || !rate || std::ranges::none_of(presets(), named)) return nullptr;
  const Config config = paper_config(size, std::string_view(weights) == "ternary");
  const auto bytes = static_cast<double>(PaperModel::read_bytes(config));
  return 100 * bytes / (*ms * 1e-3) / (*rate * 1e9);
}

PaperTable token_table(const Figures& figures, int64_t tokens) {
  constexpr Column kColumns[] = {{"size", "size"},
                                 {"float16", "float16, ms", 3},
                                 {"ternary", "ternary, ms", 3},
                                 {"ratio", "times faster", 2},
                                 {"float_share", "float16: of read, %", 0},
                                 {"ternary_share", "ternary: of read, %", 0},
                                 {"paper_ratio", "paper: times", 2},
                                 {"paper_float", "paper: float16, ms", 2},
                                 {"paper_ternary", "paper: ternary, ms", 2},
                                 {"pytorch", "PyTorch float16, ms", 2},
                                 {"goal_ms", "goal, ms", 2},
                                 {"goal_ratio", "goal, times", 1}};
  Rows rows;
  for (const std::string& size : figures.report().sizes()) {
    OrderedJson row = {{"size", size}};
    if (!put_pair(row, figures.get(size, "float16", M::kTokenTime, tokens),
                  figures.get(size, "ternary", M::kTokenTime, tokens), true))
      continue;
    row["float_share"] = read_share(figures, size, "float16", tokens);
    row["ternary_share"] = read_share(figures, size, "ternary", tokens);
    if (const PaperSize* paper = paper_size(size); paper != nullptr && tokens <= 1) {
      row["paper_float"] = known(paper->float_ms);
      row["paper_ternary"] = known(paper->ternary_ms);
      row["paper_ratio"] = known(paper->speedup);
      row["pytorch"] = known_of_h200(figures, paper->pytorch_ms);
      row["goal_ms"] = known_of_h200(figures, paper->goal_ms);
      row["goal_ratio"] = known_of_h200(figures, paper->goal_speedup);
    }
    rows.push_back(row);
  }
  const size_t columns = tokens <= 1 ? std::size(kColumns) : 6;
  return titled(fmt::format("A token after {}", tokens),
                "One sequence, the likeliest token found behind each; medians. Of read: the "
                "weights that a token reads, as a share of what memory was measured to give.",
                std::span(kColumns).first(columns), rows);
}

PaperTable memory_table(const Figures& figures) {
  constexpr Column kColumns[] = {{"size", "size"},
                                 {"tokens", "after"},
                                 {"float16", "float16, GB", 2},
                                 {"ternary", "ternary, GB", 2},
                                 {"ratio", "times less", 2},
                                 {"paper_float", "paper: float16, GB", 2},
                                 {"paper_ternary", "paper: ternary, GB", 2},
                                 {"paper_ratio", "paper: times", 2},
                                 {"weights", "ternary: weights", 3},
                                 {"cache", "cache", 3},
                                 {"work", "to work in", 3}};
  Rows rows;
  for (const std::string& size : figures.report().sizes()) {
    for (const int64_t tokens : figures.values(M::kMemory, &PaperFigure::tokens)) {
      OrderedJson row = {{"size", size}, {"tokens", tokens}};
      if (!put_pair(row, figures.get(size, "float16", M::kMemory, tokens),
                    figures.get(size, "ternary", M::kMemory, tokens), true, 1e-9))
        continue;
      if (const PaperSize* paper = paper_size(size); paper != nullptr) {
        row["paper_float"] = known(paper->float_gb);
        row["paper_ternary"] = known(paper->ternary_gb);
        row["paper_ratio"] = known(paper->memory_ratio);
      }
      for (const auto& [key, measure] : {std::pair("weights", M::kWeightMemory),
                                         {"cache", M::kCacheMemory},
                                         {"work", M::kWorkMemory}}) {
        if (const auto bytes = figures.get(size, "ternary", measure, tokens))
          row[key] = *bytes * 1e-9;
      }
      rows.push_back(row);
    }
  }
  return titled(
      "Memory",
      "What the model takes while the tokens above are generated: weights, the cache of "
      "one sequence, everything to\nwork in, and what libraries allocate (not the driver's own "
      "share, which is the same for all). There is no second copy of\nternary matrices.",
      kColumns, rows);
}

PaperTable prompt_table(const Figures& figures) {
  constexpr Column kColumns[] = {{"size", "size"},
                                 {"tokens", "tokens"},
                                 {"rows", "in pieces of"},
                                 {"float16", "float16, tokens/s", 0},
                                 {"ternary", "ternary, tokens/s", 0},
                                 {"ratio", "times faster", 2},
                                 {"goal", "goal", 1}};
  Rows rows;
  for (const std::string& size : figures.report().sizes()) {
    for (const int64_t tokens : figures.values(M::kPrompt, &PaperFigure::tokens)) {
      for (const int64_t piece : figures.values(M::kPrompt, &PaperFigure::rows)) {
        OrderedJson row = {{"size", size}, {"tokens", tokens}, {"rows", piece}};
        if (!put_pair(row, figures.get(size, "float16", M::kPrompt, tokens, piece),
                      figures.get(size, "ternary", M::kPrompt, tokens, piece), false))
          continue;
        if (size == "7B" && piece == tokens)
          row["goal"] = known_of_h200(figures, kGoalPromptSpeedup);
        rows.push_back(row);
      }
    }
  }
  return titled("Prompts", "One sequence; medians.", kColumns, rows);
}

PaperTable batch_table(const Figures& figures) {
  constexpr Column kColumns[] = {{"size", "size"},
                                 {"rows", "sequences"},
                                 {"tokens", "of"},
                                 {"float16", "float16, tokens/s", 0},
                                 {"ternary", "ternary, tokens/s", 0},
                                 {"ratio", "times faster", 2}};
  Rows rows;
  for (const std::string& size : figures.report().sizes()) {
    for (const int64_t tokens : figures.values(M::kBatch, &PaperFigure::tokens)) {
      for (const int64_t sequences : figures.values(M::kBatch, &PaperFigure::rows)) {
        OrderedJson row = {{"size", size}, {"rows", sequences}, {"tokens", tokens}};
        if (put_pair(row, figures.get(size, "float16", M::kBatch, tokens, sequences),
                     figures.get(size, "ternary", M::kBatch, tokens, sequences), false))
          rows.push_back(row);
      }
    }
  }
  return titled(kBatchTitle, "A token of each, all sequences nearly at their end.", kColumns, rows);
}

PaperTable largest_table(const Figures& figures) {
  constexpr Column kColumns[] = {
      {"size", "size"},          {"what", "what"},
      {"float16", "float16", 0}, {"ternary", "ternary", 0},
      {"ratio", "times", 1},     {"paper", "paper (70B, two A100): times", 1},
      {"goal", "goal, times", 0}};
  Rows rows;
  const auto add = [&](const std::string& size, const char* what, std::optional<double> full,
                       std::optional<double> ternary, double paper, double goal) {
    OrderedJson row = {{"size", size}, {"what", what}};
    if (!put_pair(row, full, ternary, false)) return;
    if (size == "70B") {
      row["paper"] = paper;
      row["goal"] = known_of_h200(figures, goal);
    }
    rows.push_back(row);
  };
  const PaperThroughput& paper = kPaperThroughput;
  for (const std::string& size : figures.report().sizes()) {
    const auto of = [&](const char* weights, M measure) {
      return figures.get(size, weights, measure);
    };
    const auto speed = [&](const char* weights) -> std::optional<double> {
      const auto batch = of(weights, M::kLargestBatch);
      if (!batch) return std::nullopt;
      return figures.get(size, weights, M::kBatch, -1, static_cast<int64_t>(*batch));
    };
    add(size, "sequences", of("float16", M::kLargestBatch), of("ternary", M::kLargestBatch),
        paper.ternary_batch / paper.float_batch, kGoalBatchRatio);
    add(size, "by the cache's bytes alone", of("float16", M::kLargestByBytes),
        of("ternary", M::kLargestByBytes), paper.ternary_batch / paper.float_batch,
        kGoalBatchRatio);
    add(size, "tokens/s", speed("float16"), speed("ternary"),
        paper.ternary_speed / paper.float_speed, kGoalThroughputRatio);
  }
  return titled(kLargestTitle, "As many sequences as memory has room for, found by trying.",
                kColumns, rows);
}

PaperTable energy_table(const Figures& figures) {
  constexpr Column kColumns[] = {{"size", "size"},
                                 {"float16", "float16, J", 3},
                                 {"ternary", "ternary, J", 3},
                                 {"ratio", "times less", 2},
                                 {"goal", "goal, times", 0},
                                 {"float_above", "float16 above rest, J", 3},
                                 {"ternary_above", "ternary above rest, J", 3},
                                 {"float_watts", "float16, W", 0},
                                 {"ternary_watts", "ternary, W", 0},
                                 {"idle_watts", "at rest, W", 0},
                                 {"pytorch", "PyTorch float16, J", 2}};
  Rows rows;
  for (const std::string& size : figures.report().sizes()) {
    OrderedJson row = {{"size", size}};
    if (!put_pair(row, figures.get(size, "float16", M::kEnergy),
                  figures.get(size, "ternary", M::kEnergy), true))
      continue;
    for (const auto& [key, weights] :
         {std::pair("float_watts", "float16"), {"ternary_watts", "ternary"}}) {
      if (const auto watts = figures.get(size, weights, M::kPower)) row[key] = *watts;
      if (const auto idle = figures.get(size, weights, M::kIdlePower)) row["idle_watts"] = *idle;
    }
    for (const auto& [key, weights] :
         {std::pair("float_above", "float16"), {"ternary_above", "ternary"}}) {
      if (const auto above = figures.get(size, weights, M::kEnergyAboveIdle)) row[key] = *above;
    }
    if (const PaperSize* paper = paper_size(size); paper != nullptr) {
      row["goal"] = known_of_h200(figures, paper->goal_energy);
      row["pytorch"] = known_of_h200(figures, paper->pytorch_joules);
    }
    rows.push_back(row);
  }
  return titled(
      "Energy of a token",
      "One sequence, by the counters of the device (NVML) or of the processor and its memory "
      "(RAPL). Power at rest, measured before, is part of it but where it says so.",
      kColumns, rows);
}

// "13824x2560"
double weights_of(const std::string& shape) {
  const size_t cross = shape.find('x');
  if (cross == std::string::npos) return 0;
  return std::strtod(shape.c_str(), nullptr) * std::strtod(shape.c_str() + cross + 1, nullptr);
}

PaperTable product_table(const Figures& figures) {
  constexpr Column kColumns[] = {{"shape", "outputs x inputs"},
                                 {"tokens", "rows"},
                                 {"us", "us", 2},
                                 {"read", "only reading, us", 2},
                                 {"ratio", "times that", 2},
                                 {"rate", "GB/s", 0},
                                 {"tops", "TOPS", 0}};
  Rows rows;
  for (const PaperFigure& f : figures.report().figures) {
    if (f.measure != M::kProduct || f.weights != "ternary") continue;
    const double count = weights_of(f.size);
    OrderedJson row = {{"shape", f.size}, {"tokens", f.tokens}, {"us", f.value}};
    if (const auto read = figures.get(f.size, "read", M::kProduct, f.tokens)) {
      row["read"] = *read;
      row["ratio"] = f.value / *read;
    }
    if (f.tokens == 1)
      row["rate"] = count / 4 / f.value * 1e-3;
    else
      row["tops"] = 2 * count * static_cast<double>(f.tokens) / f.value * 1e-6;
    rows.push_back(row);
  }
  const auto rate = figures.get("", "read", M::kReadRate);
  std::string text = fmt::format(
      "Ternary products alone, weights not in a cache, beside a kernel that only reads them (goal: "
      "{} times that).",
      kGoalOverRead);
  if (rate) text += fmt::format(" All of the memory is read at {:.0f} GB/s.", *rate);
  return titled("Products", text, kColumns, rows);
}

std::string gap_list(const PaperReport& report) {
  if (report.gaps.empty()) return "";
  std::string text = "# Not measured\n\n";
  for (const PaperGap& gap : report.gaps)
    text += fmt::format("* {} {}: {}: {}\n", gap.size, gap.weights, gap.what, gap.why);
  return text + "\n";
}

std::string as_markdown(const PaperTable& table) {
  return fmt::format("## {}\n\n{}\n\n{}\n", table.title, table.text,
                     markdown(table.columns, table.rows));
}

}  // namespace

std::vector<std::string> caches_of(const PaperReport& report) {
  std::vector<std::string> caches;
  for (const PaperFigure& f : report.figures) {
    if (!f.cache.empty() && std::ranges::find(caches, f.cache) == caches.end())
      caches.push_back(f.cache);
  }
  return caches;
}

std::vector<PaperTable> paper_tables(const PaperReport& report, const std::string& cache) {
  const Figures figures(report, cache);
  std::vector<PaperTable> tables;
  if (cache.empty()) {
    tables.push_back(product_table(figures));
  } else {
    for (const int64_t tokens : figures.values(M::kTokenTime, &PaperFigure::tokens))
      tables.push_back(token_table(figures, tokens));
    for (const auto make : {memory_table, prompt_table, batch_table, largest_table, energy_table})
      tables.push_back(make(figures));
  }
  std::erase_if(tables, [](const PaperTable& table) { return table.rows.empty(); });
  return tables;
}

std::string paper_page(const PaperReport& report) {
  std::string text = fmt::format(
      "# The paper's measurements on {}\n\n"
      "Measured by `trit bench paper` ({}) on {}, host {}; this page is what `trit bench paper "
      "--report FILE` makes of\nits JSON, [docs/bench.md](../bench.md) says how it measures. "
      "Weights are random: neither "
      "speed nor memory depends on them.\n70B has 8 key/value heads. Beside stand \"The Era of "
      "1-bit LLMs\" (arXiv 2402.17764), which names no device for its\nlatencies, and PyTorch's "
      "best "
      "float16 on one H200 (compiled, in a CUDA graph).\n\n",
      report.device, report.made_from, report.date, report.host);
  for (const std::string& cache : caches_of(report)) {
    text += fmt::format("# Keys and values cached as {}\n\n", cache);
    for (const PaperTable& table : paper_tables(report, cache)) text += as_markdown(table);
  }
  const std::vector<PaperTable> products = paper_tables(report, "");
  if (!products.empty()) text += "# Single products\n\n";
  for (const PaperTable& table : products) text += as_markdown(table);
  text += gap_list(report);
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace trit::bench
