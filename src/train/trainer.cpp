#include "train/trainer.h"

#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "eval/perplexity.h"
#include "formats/safetensors.h"

namespace trit {
namespace {

constexpr const char* kStateFile = "trit_state.safetensors";

double sum(std::span<const float> values) {
  double total = 0;
  for (const float value : values) total += static_cast<double>(value);
  return total;
}

}  // namespace

Trainer::Trainer(Model model, const TrainerOptions& options)
    : model_(std::move(model)),
      options_(options),
      adamw_(model_.table(), options.adamw),
      gradients_(model_.config()),
      state_(model_.config(), Pass::kTraining, options.micro_sequences, options.sequence_length,
             options.micro_sequences * options.sequence_length),
      losses_(static_cast<size_t>(options.micro_sequences * options.sequence_length)) {
  const Config& c = model_.config();
  TRIT_CHECK(!model_.masters().empty());
  TRIT_CHECK(options.sequences % options.micro_sequences == 0);
  if (options.sequence_length > c.context) {
    bad_input("sequence length {}: the model's context is {}", options.sequence_length, c.context);
  }
}

StepReport Trainer::step(std::span<const int32_t> inputs, std::span<const int32_t> targets) {
  const int64_t micro_tokens = options_.micro_sequences * options_.sequence_length;
  const int64_t tokens = options_.sequences * options_.sequence_length;
  TRIT_CHECK(static_cast<int64_t>(inputs.size()) == tokens && targets.size() == inputs.size());
  StepReport report;
  report.step = steps_done() + 1;
  report.tokens = tokens;

  gradients_.clear();
  double loss_sum = 0;
  for (int64_t begin = 0; begin < tokens; begin += micro_tokens) {
    const auto part = [&](std::span<const int32_t> all) {
      return all.subspan(static_cast<size_t>(begin), static_cast<size_t>(micro_tokens));
    };
    forward_backward(model_.weights(), options_.micro_sequences, part(inputs), part(targets),
                     1.0f / static_cast<float>(tokens), state_, gradients_, losses_);
    loss_sum += sum(losses_);
  }
  report.loss = loss_sum / static_cast<double>(tokens);
  report.gradient_norm = gradient_norm(gradients_.flat());
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    failure(
        "step {}: loss {}, gradient norm {}; the run diverged: lower the learning rate, and resume "
        "from the "
        "last checkpoint",
        report.step, report.loss, report.gradient_norm);
  }
  double scale = 1.0;
  if (options_.clip_norm > 0 && report.gradient_norm > options_.clip_norm) {
    scale = options_.clip_norm / report.gradient_norm;
  }
  report.learning_rate = learning_rate(options_.schedule, report.step);
  report.weight_decay = weight_decay(options_.schedule, report.step);
  adamw_.step(model_.table(), report.learning_rate, report.weight_decay, static_cast<float>(scale),
              gradients_.flat(), model_.masters());
  const QuantisationStats stats = model_.quantise();
  if (stats.weights > 0) {
    report.zeros = static_cast<double>(stats.zeros) / static_cast<double>(stats.weights);
    report.flips = static_cast<double>(stats.flips) / static_cast<double>(stats.weights);
  }
  return report;
}

double Trainer::held_out_loss(std::span<const int32_t> tokens, int64_t window) {
  return perplexity(model_.weights(), tokens, window).loss();
}

void Trainer::save_state(const Path& directory) {
  const auto view = [](std::span<const float> values) {
    return TensorView{DType::kF32,
                      {static_cast<int64_t>(values.size())},
                      reinterpret_cast<const std::byte*>(values.data())};
  };
  const NamedTensor tensors[] = {{"adamw.first_moment", view(adamw_.first())},
                                 {"adamw.second_moment", view(adamw_.second())}};
  write_safetensors(directory / kStateFile, tensors, {{"step", std::to_string(steps_done())}});
}

void Trainer::load_state(const Path& directory) {
  const Path path = directory / kStateFile;
  const Safetensors file = Safetensors::open(path);
  const auto read = [&](const char* name, std::span<float> target) {
    const TensorView& tensor = file.get(name);
    if (tensor.type != DType::kF32 || tensor.shape != Shape{static_cast<int64_t>(target.size())}) {
      bad_input("{}: {} is {} {}; this model's is F32 [{}]", path.string(), name,
                dtype_name(tensor.type), to_string(tensor.shape), target.size());
    }
    to_f32(DType::kF32, tensor.data, target.size(), target.data());
  };
  read("adamw.first_moment", adamw_.first());
  read("adamw.second_moment", adamw_.second());
  const auto step = file.metadata().find("step");
  char* end = nullptr;
  const long long value =
      step == file.metadata().end() ? -1 : std::strtoll(step->second.c_str(), &end, 10);
  if (value < 0 || *end != '\0') bad_input("{}: its metadata has no step count", path.string());
  adamw_.set_steps(value);
}

}  // namespace trit
