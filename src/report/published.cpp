#include "report/published.h"

namespace trit::report {
namespace {

constexpr PublishedPerplexity kPerplexities[] = {
    {"float16", "700M", 12.33}, {"ternary", "700M", 12.87}, {"float16", "1.3B", 11.25},
    {"ternary", "1.3B", 11.29}, {"float16", "3B", 10.04},   {"ternary", "3B", 9.91},
    {"ternary", "3.9B", 9.62}};

constexpr PublishedScores kScores[] = {
    {"float16", "700M", {54.7, 23.0, 37.0, 60.0, 20.2, 68.9, 54.8}, 45.5},
    {"ternary", "700M", {51.8, 21.4, 35.1, 58.2, 20.0, 68.1, 55.2}, 44.3},
    {"float16", "1.3B", {56.9, 23.5, 38.5, 59.1, 21.6, 70.0, 53.9}, 46.2},
    {"ternary", "1.3B", {54.9, 24.2, 37.7, 56.7, 19.6, 68.8, 55.8}, 45.4},
    {"float16", "3B", {62.1, 25.6, 43.3, 61.8, 24.6, 72.1, 58.2}, 49.7},
    {"ternary", "3B", {61.4, 28.3, 42.9, 61.5, 26.6, 71.5, 59.3}, 50.2},
    {"ternary", "3.9B", {64.2, 28.7, 44.2, 63.5, 24.2, 73.2, 60.5}, 51.2}};

constexpr PublishedLongRun kLongRuns[] = {
    {"StableLM-3B", {64.56, 76.93, 90.75, 66.09, 67.78}, 73.22},
    {"BitNet b1.58 3B", {66.37, 78.40, 91.20, 67.63, 68.12}, 74.34}};

constexpr PublishedEnergy kEnergies[] = {{"1.3B", 2048, 24, 0.322, 0.0173, 18.6},
                                         {"3B", 2560, 32, 0.666, 0.0307, 21.7},
                                         {"7B", 4096, 32, 1.683, 0.0578, 29.1},
                                         {"13B", 5120, 40, 3.275, 0.0993, 32.9},
                                         {"70B", 8192, 80, 16.66, 0.404, 41.2}};

// 30B, of which the paper says the same beside 7B, is no preset.
constexpr Equivalence kEquivalences[] = {{"13B", "3B"}, {"70B", "13B"}};

}  // namespace

std::span<const PublishedPerplexity> published_perplexities() { return kPerplexities; }
std::span<const PublishedScores> published_scores() { return kScores; }
std::span<const PublishedLongRun> published_long_runs() { return kLongRuns; }
std::span<const PublishedEnergy> published_energies() { return kEnergies; }
std::span<const Equivalence> equivalences() { return kEquivalences; }

}  // namespace trit::report
