#include <fmt/format.h>

#include "report/report.h"

namespace trit::report {
namespace {

std::string bytes(const std::optional<double>& value) {
  return value && *value > 0 ? fmt::format("{:.0f} KiB", *value / 1024) : "unknown";
}

Block limits(const ReportData& data) {
  const Json* json = data.result("machine");
  if (json == nullptr) {
    const PartResult* part = data.part("machine");
    return Missing{"the machine's limits", part == nullptr ? "they were not asked for" : part->why};
  }
  Table table;
  table.columns = {{"test", "limit"},
                   {"detail", "how"},
                   {"threads", "threads"},
                   {"median", "median", 2, "spread"},
                   {"unit", "unit"}};
  for (const Json& row : (*json)["rates"]) table.rows.emplace_back(row);
  return table;
}

}  // namespace

std::vector<Block> machine_section(const ReportData& data) {
  std::vector<Block> blocks;
  blocks.emplace_back(Paragraph{fmt::format(
      "Made by trit {} on {} with: {}. The paper is \"The Era of 1-bit LLMs: All Large Language "
      "Models are in 1.58 Bits\" (arXiv 2402.17764); what stands beside \"paper\" is copied from "
      "it "
      "(larger sizes read off its Figure 2), everything else was measured or, where it says "
      "so, modelled. The paper names no device for its latencies, so its ratios can be compared "
      "and "
      "its milliseconds cannot.",
      data.version, data.date, data.command)});
  if (const Json* json = data.result("machine")) {
    const Json& m = (*json)["machine"];
    blocks.emplace_back(Paragraph{fmt::format(
        "\"here\": {}, {} CPUs, {} threads used; L1 {}, L2 {}, L3 {}.", m.value("cpu", "?"),
        m.value("cpus", 0), data.threads, bytes(data.number("machine", "/machine/l1_bytes")),
        bytes(data.number("machine", "/machine/l2_bytes")),
        bytes(data.number("machine", "/machine/l3_bytes")))});
  }
  for (size_t i = 1; i < data.machines.size(); ++i) {
    blocks.emplace_back(Paragraph{
        fmt::format("\"{}\": measured by trit bench paper ({}) on {}, host {}; read from {}.",
                    machine_name(data, i), data.machines[i].made_from, data.machines[i].date,
                    data.machines[i].host, data.options.from[i - 1])});
  }
  blocks.emplace_back(Paragraph{
      "Models named by a size (700M, 3B, ...) have random weights: neither speed nor memory "
      "depends "
      "on the values, and what needs trained ones is left empty for them. LLaMA is the same shape "
      "in float16, run by the same program. Figures are medians; half of the samples lie within "
      "the spread after the sign ±."});
  blocks.push_back(limits(data));
  blocks.emplace_back(data.commands({"machine"}));
  return blocks;
}

std::vector<Block> gap_section(const ReportData& data) {
  std::vector<Block> blocks;
  const ReportOptions& o = data.options;
  if (o.model.empty())
    blocks.emplace_back(Missing{"a trained model", "none was given (--model FILE)"});
  if (o.twin.empty())
    blocks.emplace_back(Missing{"the LLaMA twin of the trained model, and its rounding",
                                "no file was given (--twin FILE)"});
  if (o.binary.empty())
    blocks.emplace_back(
        Missing{"a model trained with binary weights", "no file was given (--binary FILE)"});
  if (!o.has_text())
    blocks.emplace_back(
        Missing{"perplexity", "no held-out text was given (--text FILE, --dataset DIR)"});
  if (o.data.empty())
    blocks.emplace_back(Missing{"zero-shot accuracy", "no evaluation data was given (--data DIR)"});
  blocks.emplace_back(Missing{"perplexity and accuracy of 700M to 70B",
                              "models of these sizes cannot be trained here"});
  for (const PartResult& part : data.parts) {
    if (part.result.is_null()) blocks.emplace_back(Missing{part.name, part.why});
  }
  for (size_t i = 0; i < data.machines.size(); ++i) {
    for (const bench::PaperGap& gap : data.machines[i].gaps) {
      blocks.emplace_back(Missing{
          fmt::format("{}, {} {}, {}", machine_name(data, i), gap.size, gap.weights, gap.what),
          gap.why});
    }
  }
  return blocks;
}

}  // namespace trit::report
