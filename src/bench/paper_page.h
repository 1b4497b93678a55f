#pragma once
// The report as a page of Markdown: the paper's tables with trit's figures, the paper's beside them.

#include <string>

#include "bench/paper_report.h"

namespace trit::bench {

std::string paper_page(const PaperReport& report);

}  // namespace trit::bench
