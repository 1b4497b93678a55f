// Builds without CUDA have no devices.

#include "base/error.h"
#include "train/cuda/trainer.h"

namespace trit {

std::unique_ptr<CudaTrainer> cuda_trainer(Model, const TrainerOptions&, const CudaTrainerOptions&) {
  failure("--device cuda: this trit was built without CUDA (nvcc was not found)");
}

}  // namespace trit
