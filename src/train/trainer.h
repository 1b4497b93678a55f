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

namespace trit {

struct TrainerOptions {
  Schedule schedule;
  AdamWOptions adamw;
  double clip_norm = 1.0;         // gradients are scaled down to this norm; 0: never
  int64_t sequence_length = 256;  // T
  int64_t sequences = 32;         // of one step
  int64_t micro_sequences = 8;    // of one forward and backward pass; divides sequences
};

struct StepReport {
  int64_t step = 0;  // 1 for the first update
  double loss = 0;   // mean over the step's tokens, nats, before the update
  double learning_rate = 0;
  double weight_decay = 0;
  double gradient_norm = 0;  // before clipping
  double zeros = 0;          // share of the quantised weights that are 0 after the update
  double flips = 0;          // share of them that the update changed
  int64_t tokens = 0;        // of this step
};

// Loads model and optimizer from, and saves them to, directories; the run is a pure function of the
// initial parameters, the options and the batches, whatever the number of threads.
class Trainer {
 public:
  Trainer(Model model, const TrainerOptions& options);

  // One update with inputs and targets [sequences, T]. Throws Error (exit code 1) naming the step when
  // loss or gradient is not finite; parameters are then as before the step.
  StepReport step(std::span<const int32_t> inputs, std::span<const int32_t> targets);

  int64_t steps_done() const { return adamw_.steps(); }
  const Model& model() const { return model_; }
  Model& model() { return model_; }
  std::span<const float> gradients() { return gradients_.flat(); }

  // The training state beside a Hugging Face directory: moments and step (trit_state.safetensors).
  void save_state(const Path& directory);
  // Throws Error when it does not belong to this model.
  void load_state(const Path& directory);

 private:
  Model model_;
  TrainerOptions options_;
  AdamW adamw_;
  Gradients gradients_;
  State state_;
  std::vector<float> losses_;
};

}  // namespace trit
