#include "energy/nvml.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"

namespace trit {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";

class NvidiaMeter : public EnergyMeter {
 public:
  NvidiaMeter(const NvmlCalls& calls, NvmlDevice device) : calls_(calls), device_(device) {}
  NvidiaMeter(const NvidiaMeter&) = delete;
  NvidiaMeter& operator=(const NvidiaMeter&) = delete;
  ~NvidiaMeter() override { calls_.shutdown(); }
  double joules() override {
    unsigned long long energy = 0;
    if (const int code = calls_.millijoules(device_, &energy); code != 0)
      failure("NVML: the device's energy: {}", calls_.error_text(code));
    return 1e-3 * static_cast<double>(energy);
  }

 private:
  NvmlCalls calls_;
  NvmlDevice device_;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

std::unique_ptr<EnergyMeter> nvidia_meter(const NvmlCalls& calls, const std::string& bus,
                                          std::string& why) {
  if (const int code = calls.init(); code != 0) {
    why = fmt::format("NVML: {}", calls.error_text(code));
    return nullptr;
  }
  NvmlDevice device = nullptr;
  unsigned long long energy = 0;
  int code = calls.device_at(bus.c_str(), &device);
  if (code == 0) code = calls.millijoules(device, &energy);
  if (code == 0) return std::make_unique<NvidiaMeter>(calls, device);
  why = fmt::format("NVML: {}", calls.error_text(code));
  calls.shutdown();
  return nullptr;
}

std::unique_ptr<EnergyMeter> nvidia_meter(const std::string& bus, std::string& why) {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // stays for the process's life
  if (library == nullptr) {
    why = fmt::format("{} is not installed", kLibrary);
    return nullptr;
  }
  NvmlCalls calls;
  if (find(library, "nvmlInit_v2", calls.init) && find(library, "nvmlShutdown", calls.shutdown) &&
      find(library, "nvmlDeviceGetHandleByPciBusId_v2", calls.device_at) &&
      find(library, "nvmlDeviceGetTotalEnergyConsumption", calls.millijoules) &&
      find(library, "nvmlErrorString", calls.error_text))
    return nvidia_meter(calls, bus, why);
  why = fmt::format("{} is too old", kLibrary);
  return nullptr;
}

}  // namespace trit
