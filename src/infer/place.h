#pragma once
// Where a model runs: on this machine's processor, or on a device that its weights are copied to once.

#include <memory>
#include <string_view>

#include "infer/cpu_backend.h"
#include "infer/cuda/backend.h"
#include "model/checkpoint.h"

namespace trit {

class Place {
 public:
  // "cpu", "cuda" (the first device) or "cuda:N". Throws Error for anything else, and when there is no such device.
  explicit Place(std::string_view name = "cpu");

  bool is_cpu() const { return device_ < 0; }
  int device() const { return device_; }
  // The model in the form that runs here. On a device a rank's part does not run.
  Model open(const Path& path, const Ranks& ranks = {}) const;
  // The same of a model that is not arranged yet.
  void arrange(Model& model) const;

  // On a device the first call copies the weights; all later ones must bring the same.
  std::unique_ptr<Backend> backend(const Weights& weights, const CpuBackendOptions& options);

  // What kernels run on: "avx512vnni", or the device's name.
  std::string kernels() const;
  int64_t used_memory() const;  // of a device, in bytes, by everyone; 0 on the CPU
  int64_t free_memory() const;  // the same

 private:
  int device_ = -1;
  CudaWeights weights_;
};

}  // namespace trit
