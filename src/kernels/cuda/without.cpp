// Builds without CUDA have no devices, so nothing else of device.h is ever called.

#include "base/error.h"
#include "kernels/cuda/device.h"

namespace trit::cuda {

bool built() { return false; }
std::vector<DeviceInfo> devices() { return {}; }
void use_device(int index) { failure("cuda:{}: this trit was built without CUDA", index); }

}  // namespace trit::cuda
