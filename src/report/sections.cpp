#include <iterator>

#include "report/report.h"

namespace trit::report {
namespace {

constexpr SectionRow kSections[] = {
    {"machine", "What was measured, and where", machine_section},
    {"table-1", "Table 1: perplexity, memory, latency", cost_section},
    {"table-2", "Table 2: zero-shot accuracy", zero_shot_section},
    {"figure-2", "Figure 2: latency and memory against size", size_section},
    {"table-3", "Table 3: batches and throughput", throughput_section},
    {"figure-3", "Figure 3: energy", energy_section},
    {"table-4", "Table 4: trained for long", long_run_section},
    {"rounding", "Rounding after training, and binary weights", rounding_section},
    {"cache", "Keys and values at 16, 8 and 4 bits", cache_section},
    {"equivalences", "Larger ternary models against smaller float16 ones", equivalence_section},
    {"figures", "Every figure", every_figure_section},
    {"gaps", "What was not measured", gap_section},
};

}  // namespace

std::span<const SectionRow> sections() { return kSections; }

}  // namespace trit::report
