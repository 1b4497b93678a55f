#pragma once
// Figures of "The Era of 1-bit LLMs" (arXiv 2402.17764) that stand beside trit's; its latencies, memory and throughput are
// in bench/paper_figures.h.

#include <array>
#include <span>

namespace trit::report {

// Table 1: the mean of WikiText2's and C4's.
struct PublishedPerplexity {
  const char *weights, *size;  // "float16", "ternary"
  double perplexity;
};
std::span<const PublishedPerplexity> published_perplexities();

// Table 2: zero-shot accuracy in percent, in the order of kZeroShotTasks.
inline constexpr std::array kZeroShotTasks = {"arc_easy",   "arc_challenge", "hellaswag", "boolq",
                                              "openbookqa", "piqa",          "winogrande"};
struct PublishedScores {
  const char *weights, *size;
  std::array<double, 7> scores;
  double average;
};
std::span<const PublishedScores> published_scores();

// Table 4: models trained on 2T tokens; the mean of acc and acc_norm where a task has both.
inline constexpr std::array kLongRunTasks = {"winogrande", "piqa", "sciq", "lambada_openai",
                                             "arc_easy"};
struct PublishedLongRun {
  const char* model;
  std::array<double, 5> scores;
  double average;
};
std::span<const PublishedLongRun> published_long_runs();

// Figure 3, right: joules of a pass over 512 tokens at 7 nm as drawn, the printed ratio, and the shape that these fit
// (that of 3B is not the 3B model's).
struct PublishedEnergy {
  const char* size;
  long hidden, layers;
  double float_joules, ternary_joules, ratio;
};
std::span<const PublishedEnergy> published_energies();

// "more efficient in latency, memory and energy": a ternary model against a float16 one.
struct Equivalence {
  const char *ternary, *float16;
};
std::span<const Equivalence> equivalences();

}  // namespace trit::report
