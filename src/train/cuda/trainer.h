#pragma once
// Steps on an NVIDIA device: what Trainer does, up to the order of sums and the precision of activations.

#include <memory>
#include <vector>

#include "train/trainer.h"

namespace trit {

struct CudaTrainerOptions {
  int device = 0;
  Precision precision = Precision::kBF16;
  bool recompute = false;
};

class CudaTrainer : public Stepper {
 public:
  // Of the last step, laid out as the parameters, before clipping.
  virtual std::vector<float> gradients() = 0;
};

// A step is a pure function of the parameters, moments and batch before it, bit for bit, on devices of one kind. Throws
// Error without CUDA, and when the device has too little memory.
std::unique_ptr<CudaTrainer> cuda_trainer(Model model, const TrainerOptions& options,
                                          const CudaTrainerOptions& where);

}  // namespace trit
