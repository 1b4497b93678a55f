#pragma once
// The few calls of NVIDIA's management library that a meter needs (NVML API reference, "Device Queries"). The library comes with
// the driver, so it is looked for when it is wanted, and never linked.

#include "energy/meter.h"

namespace trit {

using NvmlDevice = void*;  // nvmlDevice_t

// All return 0 for success.
struct NvmlCalls {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*device_at)(const char* bus, NvmlDevice* device) = nullptr;
  int (*millijoules)(NvmlDevice device,
                     unsigned long long* energy) = nullptr;  // since the driver was loaded
  const char* (*error_text)(int code) = nullptr;
};

// nvidia_meter() on these calls.
std::unique_ptr<EnergyMeter> nvidia_meter(const NvmlCalls& calls, const std::string& bus,
                                          std::string& why);

}  // namespace trit
