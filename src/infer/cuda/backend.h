#pragma once
// The engine's backend on an NVIDIA device.
//
// Steps of few rows are recorded once as a CUDA graph for each number of rows and doubling of the longest sequence,
// with the head and the largest logit, and replayed: a token costs one copy in, one launch and one copy out.
//
// A row's result depends on its own sequence alone, but its last bits depend on how many rows run with it: float sums
// of the head and of float layers, and of attention, are ordered by kernels made for few rows or for many. Integer
// products are the same always.

#include <memory>
#include <string>

#include "infer/backend.h"
#include "model/parallel.h"

namespace trit {

namespace cuda {
class DeviceWeights;
}

struct CudaBackendOptions {
  KvType kv_type = KvType::kF16;
  int64_t positions = 0;   // of the cache, all sequences together; 0: the model's context
  int64_t max_rows = 512;  // of one step
};

using CudaWeights = std::shared_ptr<const cuda::DeviceWeights>;

// Copies the weights (levels in the canonical packing, as Model::open leaves them) to device number `device`, which
// becomes the calling thread's; they may be let go afterwards. Throws Error when the build has no CUDA, the machine no
// such device, the device too little memory, or its kernels do not run the model's form.
// Of a job's ranks each calls it with its part (model/parallel.h), together; `ranks` must outlive the weights. Their
// backends then make the same calls (infer/rank_backend.h), and one that fails in the middle of them ends the job.
CudaWeights cuda_weights(const Weights& weights, int device, const Ranks& ranks = {});
// Random weights of a shape, made on the device: for measuring, since neither speed nor memory depends on them.
CudaWeights cuda_random_weights(const Config& shape, int device);
// On the calling thread's device. Throws Error saying what is needed when its memory has no room for the cache.
std::unique_ptr<Backend> cuda_backend(CudaWeights weights, const CudaBackendOptions& options);
// Both, on device 0.
std::unique_ptr<Backend> cuda_backend(const Weights& weights, const CudaBackendOptions& options);

struct CudaDevice {
  std::string name;              // "NVIDIA H200"
  int64_t memory = 0, free = 0;  // bytes
  std::string bus;               // its place on the PCI bus, "00000000:5D:00.0"
};
int cuda_devices();  // how many there are
// Makes it the calling thread's. Throws Error when there is none.
CudaDevice cuda_device(int device);
// Bytes per second that a kernel reads of a device's memory at most, measured now, in part of a second.
double cuda_read_rate(int device);

}  // namespace trit
