#pragma once
// AdamW over the flat array of parameters.

#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "train/shares.h"

namespace trit {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
};

// What the kernels take of update `step` (1 for the first) of matrices, with gradients as they are.
kernels::AdamStep adam_step(const AdamWOptions& options, int64_t step, double learning_rate,
                            double weight_decay);

// First and second moments, laid out as the parameters: of all of them, or of the parts that a rank owns, one behind
// the other.
class AdamW {
 public:
  AdamW(std::span<const TensorRow> table, AdamWOptions options);
  AdamW(std::vector<Stretch> own, AdamWOptions options);

  // One update of its parameters with `gradients * gradient_scale`, both whole flat arrays. Decay applies to matrices (the
  // embedding too), not to norm gains. Counts its steps for the bias correction.
  void step(std::span<const TensorRow> table, double learning_rate, double weight_decay,
            float gradient_scale, std::span<const float> gradients, std::span<float> parameters);

  int64_t steps() const { return steps_; }
  std::span<float> first() { return {first_.data(), first_.size()}; }
  std::span<float> second() { return {second_.data(), second_.size()}; }
  void set_steps(int64_t steps) { steps_ = steps; }
  std::span<const Stretch> own() const { return own_; }

 private:
  std::vector<Stretch> own_;
  AdamWOptions options_;
  int64_t steps_ = 0;
  Buffer<float> first_, second_;
};

}  // namespace trit
