#pragma once
// Kernels of a stream that overlap (programmatic dependent launch, compute capability 9.0): the next one starts while
// this one runs, loads what does not depend on it (weights), and then waits for its results. For .cu files.
//
// In a kernel launched so: loads of weights first, then wait_for_previous() in every thread before anything is read that
// kernels write, or anything is written. Every block must wait, so that a kernel's end means the end of all before it.
//
// The next kernel starts when this one has waited, so that no more than two are on the device. Where a kernel with few
// blocks comes before one with a block for each multiprocessor, some of those blocks end up two on one and none on another
// (12 of 132 behind a kernel of 12), and all kernels behind them then fill the gaps in the same way. So one of each few
// products asks for kNoSibling (7B on an H200, ms a token: float16 3.66 in place of 4.42, ternary 1.15 in place of 1.46).

#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device.h"

namespace trit::cuda {

inline __device__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// What a launch wants to know of the calling thread's device; asked once per device.
struct DeviceLimits {
  int multiprocessors = 0;
  int shared_bytes = 0;  // a block's, at most, beside 2 KB that kernels declare themselves
  bool chains = false;   // kernels can overlap
};
inline const DeviceLimits& device_limits() {
  constexpr int kDevices = 64;
  thread_local DeviceLimits of[kDevices];
  int device = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  DeviceLimits& limits = of[device % kDevices];
  if (limits.multiprocessors == 0) {
    int major = 0;
    TRIT_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    TRIT_CUDA(cudaDeviceGetAttribute(&limits.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                     device));
    limits.shared_bytes -= 2048;
    limits.chains = major >= 9;
    TRIT_CUDA(
        cudaDeviceGetAttribute(&limits.multiprocessors, cudaDevAttrMultiProcessorCount, device));
  }
  return limits;
}

// Shared memory of a block that fits a multiprocessor once, and of one that fits beside it.
inline constexpr int64_t kNoSibling = 117248, kBesideIt = 104448;
inline int64_t without_sibling(int64_t shared) {
  return device_limits().chains && shared < kNoSibling ? kNoSibling : shared;
}

template <class T>
struct AsItIs {
  using Type = T;
};
// kernel<<<grid, block, shared, stream>>>(arguments...), overlapping where the device can. All kernels that are
// launched so ask for the same division of a multiprocessor's memory, as much shared as there is: it does not run two
// that want another one at the same time.
template <class... P>
void launch_chained(StreamHandle stream, dim3 grid, dim3 block, size_t shared, void (*kernel)(P...),
                    typename AsItIs<P>::Type... arguments) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = device_limits().chains ? 1 : 0;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared));
  TRIT_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace trit::cuda
