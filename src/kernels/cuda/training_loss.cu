// The cross-entropy and its gradient, a block for each row. Logits are read once where a row fits shared memory, and
// otherwise a second time, from the second cache. A thread sums exponentials in float32 relative to the largest it has
// seen; threads' sums are put together in double.

#include <cmath>

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kRowThreads = 512, kRowWarps = kRowThreads / 32;
constexpr int64_t kMostKept =
    72 << 10;  // bytes of a row in shared memory: three blocks a multiprocessor

// exp(x), x <= 0: to the CPU's bits for float32, to 2^-21 for what becomes bfloat16.
template <class T>
__device__ float exponential(float x) {
  if constexpr (std::is_same_v<T, float>) return exp_as_cpu(x);
  return __expf(x);
}

__device__ float largest_of_block(float x, float* warps) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) x = fmaxf(x, __shfl_xor_sync(~0U, x, apart));
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();
  x = warps[0];
#pragma unroll
  for (int i = 1; i < kRowWarps; ++i) x = fmaxf(x, warps[i]);
  return x;
}

template <class T, bool kKept>
__global__ void __launch_bounds__(kRowThreads)
    loss_kernel(View<T> logits, int64_t V, const int32_t* targets, float gradient_scale,
                float* losses) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ float largest_of[kRowWarps];
  __shared__ double sum_of[kRowWarps];
  T* kept = reinterpret_cast<T*>(memory);
  T* row = logits.row(blockIdx.x);
  const int64_t target = targets[blockIdx.x];
  const float at_target = wide(row[target]);
  constexpr int64_t kStep = int64_t{kRowThreads} * kEach;
  const int64_t first = static_cast<int64_t>(threadIdx.x) * kEach;
  const T* again = kKept ? kept : row;
  const bool vectors_again = kKept || logits.vectors;

  float largest = -INFINITY;
#pragma unroll 4
  for (int64_t k = first; k < V; k += kStep) {
    float v[kEach];
    fetch(row, k, V, logits.vectors, v);
    if (kKept) put(kept, k, (V + kEach - 1) / kEach * kEach, true, v);
#pragma unroll
    for (int j = 0; j < kEach; ++j)
      if (k + j < V) largest = fmaxf(largest, v[j]);
  }
  largest = largest_of_block(largest, largest_of);
  float sum = 0;
#pragma unroll 2
  for (int64_t k = first; k < V; k += kStep) {
    float v[kEach];
    fetch(again, k, V, vectors_again, v);
    float part = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j)
      if (k + j < V) part += exponential<T>(v[j] - largest);
    sum += part;
  }
  const double total = sum_of_block<kRowWarps>(static_cast<double>(sum), sum_of);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = static_cast<float>(static_cast<double>(largest) + log(total) -
                                            static_cast<double>(at_target));
  }
  const float factor = static_cast<float>(static_cast<double>(gradient_scale) / total);
#pragma unroll 2
  for (int64_t k = first; k < V; k += kStep) {
    float v[kEach];
    fetch(again, k, V, vectors_again, v);
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      v[j] = exponential<T>(v[j] - largest) * factor;
      if (k + j == target) v[j] -= gradient_scale;
    }
    put(row, k, V, logits.vectors, v);
  }
}

constexpr int kSummers = 1024;
__global__ void __launch_bounds__(kSummers)
    sum_kernel(const float* values, int64_t count, bool add, double* sum) {
  __shared__ double warps[kSummers / 32];
  double part = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSummers) part += static_cast<double>(values[i]);
  part = sum_of_block<kSummers / 32>(part, warps);
  if (threadIdx.x == 0) *sum = add ? *sum + part : part;
}

template <class T, bool kKept>
void launch(StreamHandle stream, Rows logits, int64_t N, int64_t V, const int32_t* targets,
            float gradient_scale, float* losses) {
  const int64_t bytes = kKept ? (V + kEach - 1) / kEach * kEach * int64_t{sizeof(T)} : 0;
  TRIT_CUDA(cudaFuncSetAttribute(loss_kernel<T, kKept>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(bytes)));
  loss_kernel<T, kKept>
      <<<static_cast<unsigned>(N), kRowThreads, static_cast<size_t>(bytes), stream>>>(
          view<T>(logits), V, targets, gradient_scale, losses);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace

void cross_entropy(StreamHandle stream, Rows logits, int64_t N, int64_t V, const int32_t* targets,
                   float gradient_scale, float* losses) {
  with_type(logits.type, [&](auto t) {
    using T = decltype(t);
    if ((V + kEach) * int64_t{sizeof(T)} <= kMostKept)
      launch<T, true>(stream, logits, N, V, targets, gradient_scale, losses);
    else
      launch<T, false>(stream, logits, N, V, targets, gradient_scale, losses);
  });
}

void sum_values(StreamHandle stream, const float* values, int64_t count, bool add, double* sum) {
  sum_kernel<<<1, kSummers, 0, stream>>>(values, count, add, sum);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
