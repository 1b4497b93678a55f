#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "bench/machine.h"

namespace trit::report {

using bench::PaperFigure, bench::PaperMeasure, bench::PaperReport;

const PartResult* ReportData::part(const std::string& name) const {
  const auto at = std::ranges::find(parts, name, &PartResult::name);
  return at == parts.end() ? nullptr : &*at;
}

const Json* ReportData::result(const std::string& name) const {
  const PartResult* found = part(name);
  return found == nullptr || found->result.is_null() ? nullptr : &found->result;
}

Commands ReportData::commands(std::initializer_list<const char*> beginnings) const {
  Commands commands;
  for (const PartResult& p : parts) {
    const bool wanted = std::ranges::any_of(
        beginnings, [&](const char* beginning) { return p.name.starts_with(beginning); });
    if (wanted && !p.result.is_null())
      commands.lines.insert(commands.lines.end(), p.commands.begin(), p.commands.end());
  }
  return commands;
}

std::optional<double> ReportData::figure(size_t machine, const std::string& size,
                                         const std::string& weights, PaperMeasure measure) const {
  const PaperFigure* least = nullptr;
  for (const PaperFigure& f : machines[machine].figures) {
    const bool fits = f.size == size && f.weights == weights && f.measure == measure;
    if (fits && (least == nullptr || f.tokens < least->tokens)) least = &f;
  }
  return least == nullptr ? std::nullopt : std::optional(least->value);
}

std::optional<double> ReportData::number(const std::string& name, const char* pointer) const {
  const Json* json = result(name);
  const Json::json_pointer at(pointer);
  if (json == nullptr || !json->contains(at) || !(*json)[at].is_number()) return std::nullopt;
  return (*json)[at].get<double>();
}

OrderedJson ReportData::interval(const std::string& name) const {
  const auto low = number(name, "/perplexity_95/0"), high = number(name, "/perplexity_95/1");
  if (!low || !high) return nullptr;
  return fmt::format("{:.3f} to {:.3f}", *low, *high);
}

namespace {

// This machine's report out of its parts.
PaperReport measured_here(const std::vector<PartResult>& parts) {
  PaperReport here;
  for (const PartResult& p : parts) {
    if (p.name.starts_with("speed-") && !p.result.is_null())
      here.add(bench::paper_report_from(p.result, p.name));
  }
  // add() takes a size's gaps for out of date when it sees a size again, so single figures come behind it.
  for (const PartResult& p : parts) {
    constexpr std::string_view kBegin = "memory-", kEnd = "-ternary";
    const Json::json_pointer peak("/model/peak_memory_bytes");
    if (!p.name.starts_with(kBegin) || !p.name.ends_with(kEnd) || !p.result.contains(peak) ||
        !p.result[peak].is_number())
      continue;
    const std::string size =
        p.name.substr(kBegin.size(), p.name.size() - kBegin.size() - kEnd.size());
    here.figures.push_back({size, "ternary", PaperMeasure::kProcessMemory, 64, 1, "f16",
                            p.result[peak].get<double>()});
  }
  if (here.device.empty()) here.device = bench::cpu_name();
  return here;
}

}  // namespace

ReportData report_data(const ReportOptions& options, std::vector<PartResult> parts) {
  ReportData data;
  data.options = options;
  data.parts = std::move(parts);
  data.machines.push_back(measured_here(data.parts));
  for (const std::string& file : options.from)
    data.machines.push_back(bench::paper_report_from(parse_json(read_text(file), file), file));
  return data;
}

std::string machine_name(const ReportData& data, size_t machine) {
  return machine == 0 ? "here" : data.machines[machine].device;
}

Document document(const ReportData& data) {
  Document page;
  page.title = "BitNet b1.58 beside LLaMA: the paper's tables, measured";
  for (const SectionRow& row : sections())
    page.sections.push_back({row.id, row.title, row.blocks(data)});
  return page;
}

OrderedJson to_json(const ReportData& data) {
  OrderedJson parts = OrderedJson::array(), machines = OrderedJson::array();
  for (const PartResult& p : data.parts) {
    parts.push_back({{"part", p.name},
                     {"commands", p.commands},
                     {"date", p.date},
                     {"seconds", p.seconds},
                     {"why", p.why},
                     {"result", p.result}});
  }
  for (const PaperReport& machine : data.machines) machines.push_back(bench::to_json(machine));
  return {{"command", data.command}, {"version", data.version}, {"date", data.date},
          {"threads", data.threads}, {"machines", machines},    {"parts", parts}};
}

Path write_report(const ReportData& data) {
  const Path& out = data.options.out;
  std::filesystem::create_directories(out);
  const Document page = document(data);
  for (const Section& section : page.sections) {
    for (const Block& block : section.blocks) {
      if (const auto* drawing = std::get_if<Drawing>(&block))
        write_text(out / fmt::format("{}.svg", drawing->name), drawing->svg);
    }
  }
  write_text(out / "report.md", to_markdown(page));
  write_text(out / "report.json",
             to_json(data).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  write_text(out / "report.html", to_html(page));
  return out / "report.html";
}

}  // namespace trit::report
