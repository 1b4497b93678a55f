#pragma once
// Learning rate and weight decay over a run: the two-stage schedule of BitNet b1.58 (The Era of 1-bit
// LLMs: Training Tips, Code and FAQ, section 2 and Table 2), and the baseline's single stage.

#include <cstdint>

#include "model/config.h"

namespace trit {

struct Schedule {
  int64_t steps = 100000;
  int64_t warmup = 375;       // steps from 0 to the first peak
  double peak = 1.5e-3;       // of the first half
  double second_peak = 1e-3;  // of the second half; equal to peak: one stage
  double end = 3e-5;          // at the last step
  double weight_decay = 0.1;
  double second_weight_decay = 0.0;  // in the second half
};

// Linear from 0 over the warm-up; then for step t of n, with P = peak before n / 2 and second_peak from
// there on: end + (P - end) (1 - (t - warmup) / (n - warmup)). At half way the rate drops from one
// straight line to the other. The k-th update of a run (k = 1, 2, ...) is step k.
double learning_rate(const Schedule& schedule, int64_t step);
double weight_decay(const Schedule& schedule, int64_t step);

// The published settings of the family, for `steps` steps: rates of the nearest published size of
// the shape (700M below a billion linear weights, else 1.3B and above); warm-up 375 steps or, in
// short runs, a twentieth of them.
Schedule default_schedule(const Config& config, int64_t steps);

}  // namespace trit
