#pragma once
// For the files that call CUDA: its return codes as Error.

#include <cuda_runtime_api.h>

namespace trit::cuda {

// Throws Error (exit code 1) with CUDA's words. Here because nvcc cannot compile fmt's checks of formats.
[[noreturn]] void call_failed(cudaError_t error, const char* call, const char* file, int line);

// Throws Error: `what` has `columns`, more than the kernels take.
[[noreturn]] void columns_refused(const char* what, long columns, long most);
// A caller's mistake. Throws Error.
[[noreturn]] void scratch_too_small(const char* what, long bytes, long needed);

}  // namespace trit::cuda

#define TRIT_CUDA(call)                                                      \
  do {                                                                       \
    const cudaError_t trit_cuda_error = (call);                              \
    if (trit_cuda_error != cudaSuccess)                                      \
      ::trit::cuda::call_failed(trit_cuda_error, #call, __FILE__, __LINE__); \
  } while (0)
// After a launch.
#define TRIT_CUDA_LAUNCHED() TRIT_CUDA(cudaGetLastError())
