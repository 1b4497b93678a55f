#pragma once
// The paper's tables and figures as one page: what was measured here and elsewhere beside what the paper prints.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/paper_report.h"
#include "report/document.h"
#include "report/parts.h"

namespace trit::report {

// What the sections draw from.
struct ReportData {
  ReportOptions options;
  std::string command;  // that made the page, as a user would type it
  std::string version, date;
  int threads = 0;
  std::vector<PartResult> parts;
  std::vector<bench::PaperReport> machines;  // this one first

  // Null when the part was not run, or failed.
  const Json* result(const std::string& part) const;
  const PartResult* part(const std::string& name) const;
  // Those of the parts whose names begin so, for what stands under a table.
  Commands commands(std::initializer_list<const char*> beginnings) const;
  // A figure of a machine, of its first cache and fewest tokens that it has.
  std::optional<double> figure(size_t machine, const std::string& size, const std::string& weights,
                               bench::PaperMeasure measure) const;
  // A number of a part's result, by the names that lead there ("/model/peak_memory_bytes").
  std::optional<double> number(const std::string& part, const char* pointer) const;
  // The 95 % interval of a part's perplexity, "45.1 to 47.8", or null.
  OrderedJson interval(const std::string& part) const;
};

// Reads the files of options.from. Throws Error naming the file that is no report of trit bench paper.
ReportData report_data(const ReportOptions& options, std::vector<PartResult> parts);

Document document(const ReportData& data);
// Everything the page was made from.
OrderedJson to_json(const ReportData& data);
// OUT/report.html, report.md, report.json and a file for each drawing. Returns the page's path.
Path write_report(const ReportData& data);

// A section: one function of a file of its own, and a row of the table in sections.cpp.
struct SectionRow {
  const char *id, *title;
  std::vector<Block> (*blocks)(const ReportData& data);
};
std::span<const SectionRow> sections();

std::vector<Block> machine_section(const ReportData& data);
std::vector<Block> cost_section(const ReportData& data);        // Table 1
std::vector<Block> zero_shot_section(const ReportData& data);   // Table 2
std::vector<Block> size_section(const ReportData& data);        // Figure 2
std::vector<Block> throughput_section(const ReportData& data);  // Table 3
std::vector<Block> energy_section(const ReportData& data);      // Figure 3
std::vector<Block> long_run_section(const ReportData& data);    // Table 4
std::vector<Block> rounding_section(const ReportData& data);
std::vector<Block> cache_section(const ReportData& data);
std::vector<Block> equivalence_section(const ReportData& data);
std::vector<Block> every_figure_section(const ReportData& data);
std::vector<Block> gap_section(const ReportData& data);

// "paper" and then the machines' names, short.
std::string machine_name(const ReportData& data, size_t machine);
// A value, or null.
inline OrderedJson value_or_null(const std::optional<double>& v, double scale = 1) {
  return v && *v > 0 ? OrderedJson(*v * scale) : OrderedJson(nullptr);
}

}  // namespace trit::report
