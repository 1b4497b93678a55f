// Each word of 64 bits is a hash of its number, so what a matrix holds does not depend on how it is filled.

#include <cuda_fp16.h>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256, kBlocks = 4096;

__device__ uint64_t splitmix64(uint64_t x) {  // base/rng.h
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

__device__ uint64_t codes_of(uint64_t random) {
  return random & ~(random & random << 1 & 0xAAAAAAAAAAAAAAAAULL);
}

__device__ uint64_t halves_of(uint64_t random, float size) {
  uint64_t word = 0;
  for (int i = 0; i < 64; i += 16) {
    const auto step = static_cast<int16_t>(random >> i);
    const __half value = __float2half_rn(size * (static_cast<float>(step) * 0x1p-15f));
    word |= static_cast<uint64_t>(__half_as_ushort(value)) << i;
  }
  return word;
}

__global__ void __launch_bounds__(kThreads)
    random_kernel(uint64_t* out, int64_t words, uint64_t seed, float size) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < words;
       i += step) {
    const uint64_t random = splitmix64(seed + static_cast<uint64_t>(i));
    out[i] = size == 0 ? codes_of(random) : halves_of(random, size);
  }
}

void fill_random(StreamHandle stream, void* out, int64_t bytes, uint64_t seed, float size) {
  random_kernel<<<kBlocks, kThreads, 0, stream>>>(static_cast<uint64_t*>(out), bytes / 8, seed,
                                                  size);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace

void random_codes(StreamHandle stream, void* out, int64_t bytes, uint64_t seed) {
  fill_random(stream, out, bytes, seed, 0);
}

void random_halves(StreamHandle stream, void* out, int64_t bytes, uint64_t seed, float size) {
  fill_random(stream, out, bytes, seed, size);
}

}  // namespace trit::cuda
