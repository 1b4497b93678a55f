#pragma once
// Models of random weights, on the CPU or on a device, to be measured: made where they run.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "infer/place.h"

namespace trit::bench {

class PaperModel {
 public:
  // Throws Error (exit code 1) when there is not the memory.
  PaperModel(const Config& config, const Place& place);
  const Config& config() const { return config_; }
  std::unique_ptr<Backend> backend(const CpuBackendOptions& options) const;

  // About what the weights of such a model take.
  static int64_t weight_bytes(const Config& config);
  // What of them a token reads: not the embedding table, where another one is the head.
  static int64_t read_bytes(const Config& config);

 private:
  Config config_;
  std::optional<Model> model_;  // on the CPU
  CudaWeights weights_;         // on a device
};

// Bytes in use and free there: of the device, or by this process and of the machine.
int64_t used_memory(const Place& place);
int64_t free_memory(const Place& place);

}  // namespace trit::bench
