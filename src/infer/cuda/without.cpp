// Builds without CUDA have no devices.

#include "base/error.h"
#include "infer/cuda/backend.h"

namespace trit {

namespace {
[[noreturn]] void refuse() {
  failure("--device cuda: this trit was built without CUDA (nvcc was not found)");
}
}  // namespace

CudaWeights cuda_weights(const Weights&, int, const Ranks&) { refuse(); }
CudaWeights cuda_random_weights(const Config&, int) { refuse(); }
std::unique_ptr<Backend> cuda_backend(CudaWeights, const CudaBackendOptions&) { refuse(); }
std::unique_ptr<Backend> cuda_backend(const Weights&, const CudaBackendOptions&) { refuse(); }
int cuda_devices() { return 0; }
CudaDevice cuda_device(int) { refuse(); }
double cuda_read_rate(int) { refuse(); }

}  // namespace trit
