#include "train/stepper.h"

#include "base/collectives.h"
#include "base/error.h"
#include "infer/place.h"
#include "train/cuda/trainer.h"
#include "train/trainer.h"

namespace trit {

Precision precision_from(std::string_view name) {
  if (name == "bf16") return Precision::kBF16;
  if (name == "f32") return Precision::kF32;
  bad_input("--precision: '{}' is none; there are bf16 and f32", printable(name));
}

std::unique_ptr<Stepper> make_stepper(Model model, const TrainerOptions& options,
                                      const StepPlace& where, Collectives* ranks) {
  const Precision precision = precision_from(where.precision);
  const Place place(where.device);
  if (place.is_cpu()) return std::make_unique<Trainer>(std::move(model), options, ranks);
  if (ranks != nullptr && ranks->size() > 1)
    bad_input("--device: {}: several ranks train on the CPU alone", where.device);
  return cuda_trainer(
      std::move(model), options,
      {.device = place.device(), .precision = precision, .recompute = where.recompute});
}

}  // namespace trit
