// Builds without NCCL: devices exchange through the host.

#include "base/error.h"
#include "kernels/cuda/collectives.h"

namespace trit::cuda {

bool nccl_built() { return false; }
std::unique_ptr<DeviceCollectives> nccl_collectives(Collectives&) {
  failure("this trit was built without NCCL");
}

}  // namespace trit::cuda
