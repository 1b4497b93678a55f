#pragma once
// What a run drives: updates of a model, wherever they are computed.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/checkpoint.h"

namespace trit {

struct StepReport {
  int64_t step = 0;  // 1 for the first update
  double loss = 0;   // mean over the step's tokens, nats, before the update
  double learning_rate = 0;
  double weight_decay = 0;
  double gradient_norm = 0;  // before clipping
  double zeros = 0;          // share of the quantised weights that are 0 after the update
  double flips = 0;          // share of them that the update changed
  int64_t tokens = 0;        // of this step
  // Mean over the quantised matrices of how much the update changed the scale, relative to it.
  double scale_drift = 0;
  // Norms of the gradients: of the embedding, each layer, what comes after them. Empty where they are not known.
  std::vector<double> layer_norms = {};
  // What the model then wrote, where a run samples after this step (train/sample.h).
  std::string sample = {};
};

class Stepper {
 public:
  virtual ~Stepper() = default;

  // One update with inputs and targets [sequences, T]. Throws Error (exit code 1) naming the step when
  // loss or gradient is not finite; parameters are then as before the step.
  virtual StepReport step(std::span<const int32_t> inputs, std::span<const int32_t> targets) = 0;
  virtual int64_t steps_done() const = 0;

  // Its masters are those of now. The reference is good until the next step, or, where that is a copy, until the next
  // call.
  virtual const Model& current_model() = 0;
  // Whether it is: then it can be written, and its state, while steps go on.
  virtual bool copies() const { return false; }
  // Nats per token of a text, as perplexity() defines them.
  virtual double held_out_loss(std::span<const int32_t> tokens, int64_t window) = 0;

  // What the CPU's forward pass reads, as it is now; null when that is elsewhere.
  virtual const Weights* host_weights() { return nullptr; }

  // The training state that belongs to what current_model() last gave, beside a Hugging Face directory: moments and step
  // (trit_state.safetensors).
  virtual void save_state(const Path& directory) = 0;
  // Throws Error when it does not belong to this model.
  virtual void load_state(const Path& directory) = 0;
};

// The type of activations on a device, and of what its matrix products take; sums are float32 in both.
enum class Precision : uint8_t { kBF16, kF32 };
Precision precision_from(std::string_view name);  // "bf16", "f32"; throws Error listing them

// Where and how steps are computed: no part of what a run is, so that it can go on elsewhere.
struct StepPlace {
  std::string device = "cpu";
  std::string precision = "bf16";
  bool recompute = false;

  template <class Visitor>
  void visit(Visitor&& v) {
    v("device", device, "what computes the steps: cpu, cuda or cuda:N");
    v("precision", precision, "of activations on a device: bf16 or f32 (slow, to compare)");
    v("recompute", recompute,
      "on a device: keep only what enters a layer, and compute the rest again on the way back");
  }
};

struct TrainerOptions;
class Collectives;
// Throws Error when there is no such device, and for several ranks (null: this one alone) on devices.
std::unique_ptr<Stepper> make_stepper(Model model, const TrainerOptions& options,
                                      const StepPlace& place, Collectives* ranks = nullptr);

}  // namespace trit
