#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 512, kAtOnce = 8;

// Eight loads of 16 bytes in flight in every thread.
__global__ void __launch_bounds__(kThreads, 2)
    read_words(const uint4* from, int64_t count, uint32_t* out) {
  uint32_t sum = 0;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads * kAtOnce;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads * kAtOnce + threadIdx.x; i < count;
       i += step) {
    uint4 v[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      v[j] = i + j * kThreads < count ? __ldcs(from + i + j * kThreads) : uint4{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678U) *out = sum;  // practically never, but the compiler cannot know
}

}  // namespace

void read_all(StreamHandle stream, const void* from, int64_t bytes, uint32_t* out) {
  read_words<<<static_cast<unsigned>(4 * device_limits().multiprocessors), kThreads, 0, stream>>>(
      static_cast<const uint4*>(from), bytes / 16, out);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
