#pragma once
// What "The Era of 1-bit LLMs" (arXiv 2402.17764) and PyTorch reach, to stand beside trit's figures, and what trit is after on
// an H200. 0: none is known.

#include <span>
#include <string_view>

namespace trit::bench {

// A size in the paper's Table 1 and Figure 2 (the larger ones read off the figure), which name no device.
struct PaperSize {
  std::string_view size;
  double float_ms, ternary_ms;   // a token
  double float_gb, ternary_gb;   // memory
  double speedup, memory_ratio;  // as the paper prints them, against the float16 model of that size
  // PyTorch's best float16 decode on one H200, compiled, in a CUDA graph: milliseconds and joules a token, prompt 1.
  double pytorch_ms, pytorch_joules;
  // trit's goals on one H200.
  double goal_ms, goal_speedup, goal_energy;  // energy: times less than float16
};
std::span<const PaperSize> paper_sizes();
const PaperSize* paper_size(std::string_view size);  // null when the paper has none

// Table 3: 70B on two A100 of 80 GB, sequences of 512.
struct PaperThroughput {
  double float_batch, ternary_batch, float_speed, ternary_speed;  // tokens/s
};
inline constexpr PaperThroughput kPaperThroughput{16, 176, 333, 2977};

// Goals on one H200.
inline constexpr double kGoalPromptSpeedup = 1.4;  // 7B, 2,048 tokens, over float16
inline constexpr double kGoalOverRead = 1.35;  // a product of one row over only reading its weights
inline constexpr double kGoalBatchRatio = 11;  // 70B, largest batch
inline constexpr double kGoalThroughputRatio = 9;  // and its speed

}  // namespace trit::bench
