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
  explicit Place(std::string_view name = "cpu") : Place(name, alone()) {}
  // Where one of a job's ranks runs its part; "cuda" is for each rank of a host the next of its devices. `ranks` must
  // outlive it, and all call it together.
  Place(std::string_view name, const Ranks& ranks);

  const Ranks& ranks() const { return ranks_; }
  bool is_cpu() const { return device_ < 0; }
  int device() const { return device_; }
  // The model in the form that runs here: on the CPU this rank's part of it.
  Model open(const Path& path) const;
  // The same of a model that is not arranged yet.
  void arrange(Model& model) const;

  // Of what open() gives. On a device the first call copies this rank's part of the weights; all later ones must bring
  // the same.
  std::unique_ptr<Backend> backend(const Weights& weights, CpuBackendOptions options);

  // What kernels run on: "avx512vnni", or the device's name.
  std::string kernels() const;
  int64_t used_memory() const;  // of a device, in bytes, by everyone; 0 on the CPU
  int64_t free_memory() const;  // the same

 private:
  const Ranks& ranks_;
  int device_ = -1;
  CudaWeights weights_;
};

}  // namespace trit
