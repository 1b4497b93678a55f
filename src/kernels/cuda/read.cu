#include <algorithm>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 512, kAtOnce = 8;

// Eight loads of 16 bytes in flight in every thread, `apart` words from each other.
__global__ void __launch_bounds__(kThreads, 2)
    read_words(const uint4* from, int64_t count, bool by_block, uint32_t* out) {
  uint32_t sum = 0;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads, step = threads * kAtOnce;
  const int64_t apart = by_block ? kThreads : threads;
  const int64_t block = static_cast<int64_t>(blockIdx.x) * kThreads * (by_block ? kAtOnce : 1);
  for (int64_t i = block + threadIdx.x; i < count; i += step) {
    uint4 v[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      v[j] = i + j * apart < count ? __ldcs(from + i + j * apart) : uint4{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678U) *out = sum;  // practically never, but the compiler cannot know
}

}  // namespace

void read_all(StreamHandle stream, const void* from, int64_t bytes, uint32_t* out, int blocks) {
  // Of little memory every block gets a share.
  const int64_t count = bytes / 16, most = blocks * device_limits().multiprocessors;
  const int64_t used = std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, most);
  const bool by_block = count >= used * kThreads * kAtOnce;
  read_words<<<static_cast<unsigned>(used), kThreads, 0, stream>>>(static_cast<const uint4*>(from),
                                                                   count, by_block, out);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
