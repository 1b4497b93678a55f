// The cross-entropy of rows of logits: kernels/kernels.h's cross_entropy without the gradient.

#include <cmath>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;

// The largest and the sum of exponentials of what is seen so far, relative to it.
struct LogSum {
  float largest = -INFINITY;
  double sum = 0;
};

__device__ LogSum together(LogSum a, LogSum b) {
  const float largest = fmaxf(a.largest, b.largest);
  const auto part = [largest](LogSum x) {
    return x.largest == -INFINITY ? 0.0 : x.sum * exp(static_cast<double>(x.largest - largest));
  };
  return {largest, part(a) + part(b)};
}

__device__ LogSum of_warp(LogSum x) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2)
    x = together(x, {__shfl_xor_sync(~0u, x.largest, apart), __shfl_xor_sync(~0u, x.sum, apart)});
  return x;
}

__global__ void __launch_bounds__(kThreads)
    loss_kernel(const float* logits, int64_t V, const int32_t* targets, float* losses) {
  __shared__ LogSum warps[kWarps];
  const float* row = logits + blockIdx.x * V;
  float largest = -INFINITY;
  for (int64_t i = threadIdx.x; i < V; i += kThreads) largest = fmaxf(largest, row[i]);
  LogSum own{largest, 0};
  for (int64_t i = threadIdx.x; i < V; i += kThreads)
    own.sum += static_cast<double>(expf(row[i] - largest));
  own = of_warp(own);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = own;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  own = of_warp(threadIdx.x < kWarps ? warps[threadIdx.x] : LogSum{});
  if (threadIdx.x == 0) {
    const double target = static_cast<double>(row[targets[blockIdx.x]]);
    losses[blockIdx.x] =
        static_cast<float>(static_cast<double>(own.largest) + log(own.sum) - target);
  }
}

}  // namespace

void token_losses(StreamHandle stream, const float* logits, int64_t T, int64_t V,
                  const int32_t* targets, float* losses) {
  loss_kernel<<<static_cast<unsigned>(T), kThreads, 0, stream>>>(logits, V, targets, losses);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
