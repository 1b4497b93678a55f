#include "kernels/cuda/check.h"
#include "kernels/cuda/training_products.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256, kBlocks = 1024;

__global__ void __launch_bounds__(kThreads)
    compare_kernel(const uint32_t* a, const uint32_t* b, int64_t words, int32_t* differs) {
  const int64_t step = int64_t{kBlocks} * kThreads;
  bool other = false;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < words; i += step)
    other |= a[i] != b[i];
  if (other) *differs = 1;
}

}  // namespace

void compare_bytes(StreamHandle stream, const void* a, const void* b, int64_t bytes,
                   int32_t* differs) {
  compare_kernel<<<kBlocks, kThreads, 0, stream>>>(
      static_cast<const uint32_t*>(a), static_cast<const uint32_t*>(b), bytes / 4, differs);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
