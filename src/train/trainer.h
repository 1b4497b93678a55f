#pragma once
// One training run: the step, its checkpoints, and what it reports.

#include <cstdint>
#include <span>
#include <vector>

#include "base/file.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "train/adamw.h"
#include "train/schedule.h"
#include "train/stepper.h"

namespace trit {

struct TrainerOptions {
  Schedule schedule;
  AdamWOptions adamw;
  double clip_norm = 1.0;         // gradients are scaled down to this norm; 0: never
  int64_t sequence_length = 256;  // T
  int64_t sequences = 32;         // of one step
  int64_t micro_sequences = 8;    // of one forward and backward pass; divides sequences
};

// Loads model and optimizer from, and saves them to, directories; the run is a pure function of the
// initial parameters, the options and the batches, whatever the number of threads.
class Trainer : public Stepper {
 public:
  Trainer(Model model, const TrainerOptions& options);

  StepReport step(std::span<const int32_t> inputs, std::span<const int32_t> targets) override;

  int64_t steps_done() const override { return adamw_.steps(); }
  const Model& current_model() override { return model_; }
  double held_out_loss(std::span<const int32_t> tokens, int64_t window) override;
  const Model& model() const { return model_; }
  Model& model() { return model_; }
  std::span<const float> gradients() { return gradients_.flat(); }

  void save_state(const Path& directory) override;
  void load_state(const Path& directory) override;

 private:
  Model model_;
  TrainerOptions options_;
  AdamW adamw_;
  Gradients gradients_;
  State state_;
  std::vector<float> losses_;
};

}  // namespace trit
