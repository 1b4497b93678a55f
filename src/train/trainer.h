#pragma once
// One training run: the step, its checkpoints, and what it reports.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/background.h"
#include "base/file.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "train/adamw.h"
#include "train/exchange.h"
#include "train/schedule.h"
#include "train/stepper.h"

namespace trit {

struct TrainerOptions {
  Schedule schedule;
  AdamWOptions adamw;
  double clip_norm = 1.0;         // gradients are scaled down to this norm; 0: never
  int64_t sequence_length = 256;  // T
  int64_t sequences = 32;         // of one step, over all ranks
  int64_t parts = 1;  // sums of a step's gradient: a multiple of the ranks, divides sequences
  int64_t micro_sequences = 8;  // of one forward and backward pass; divides the sequences of a part
};

// Loads model and optimizer from, and saves them to, directories; the run is a pure function of the
// initial parameters, the options and the batches, whatever the number of threads.
//
// Data parallel over the ranks of a job: rank r of R computes the r-th R-th of a step's sequences, sums gradients with
// the others and updates its share of the parameters (exchange.h). A step's gradient is the sum of `parts` parts of
// neighbouring sequences, added in halves of halves (base/reduce.h): where the ranks are a power of two, the run has the
// same bits on any number of them that divides the parts. A rank with several parts needs memory for
// the gradients of 1 + log2 of them at once.
class Trainer : public Stepper {
 public:
  // `ranks` must outlive it; null: alone.
  Trainer(Model model, const TrainerOptions& options, Collectives* ranks = nullptr);

  StepReport step(std::span<const int32_t> inputs, std::span<const int32_t> targets) override;

  int64_t steps_done() const override { return adamw_.steps(); }
  const Model& current_model() override;
  const Weights* host_weights() override { return &model_.weights(); }
  double held_out_loss(std::span<const int32_t> tokens, int64_t window) override;
  const Model& model() const { return model_; }
  Model& model() { return model_; }
  std::span<const float> gradients() { return gradients_[0].flat(); }

  void save_state(const Path& directory) override;
  void load_state(const Path& directory) override;

 private:
  struct Tokens {
    std::span<const int32_t> inputs, targets;
  };
  void accumulate(int64_t begin, int64_t end, size_t depth, const Tokens& tokens);
  void add_part(int64_t part, size_t depth, const Tokens& tokens);
  void finish_bucket(int bucket, size_t depth);
  int64_t own_parts() const { return options_.parts / exchange_.ranks().size(); }
  int64_t own_sequences() const { return options_.sequences / exchange_.ranks().size(); }

  Model model_;
  TrainerOptions options_;
  Exchange exchange_;
  AdamW adamw_;
  std::vector<Gradients> gradients_;  // the sum, and those that wait to be added
  State state_;
  std::vector<float> losses_;
  std::vector<double> part_losses_;      // of this rank's parts
  std::optional<Background> exchanges_;  // of gradients, while the backward pass goes on
};

}  // namespace trit
