#pragma once
// The report as a page of Markdown: the paper's tables with trit's figures, the paper's beside them.

#include <string>
#include <vector>

#include "bench/paper_report.h"
#include "bench/table.h"

namespace trit::bench {

struct PaperTable {
  std::string title, text;
  std::vector<Column> columns;
  std::vector<OrderedJson> rows;
};

inline constexpr const char* kBatchTitle = "Several sequences together";
inline constexpr const char* kEnergyTitle = "Energy of a token";
inline constexpr const char* kLargestTitle = "The largest batch";

// The types of cache that it has figures with, in their order.
std::vector<std::string> caches_of(const PaperReport& report);
// The tables of that cache that have rows; for "" the single products.
std::vector<PaperTable> paper_tables(const PaperReport& report, const std::string& cache);

std::string paper_page(const PaperReport& report);

}  // namespace trit::bench
