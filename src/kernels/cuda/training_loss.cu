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

// exp(x - largest): to the CPU's bits for float32, to 2^-20 for what becomes bfloat16. exp(-infinity) = 0.
template <class T>
struct Exponential {
  static constexpr float kLog2E = 1.44269504088896341f;
  float largest, shift;
  __device__ explicit Exponential(float l) : largest(l), shift(l * kLog2E) {}
  // What was taken off, to the last bit: shift is rounded.
  __device__ double base() const {
    if constexpr (std::is_same_v<T, float>) return static_cast<double>(largest);
    return static_cast<double>(shift) / static_cast<double>(kLog2E);
  }
  __device__ float operator()(float x) const {
    if constexpr (std::is_same_v<T, float>) {
      return x == -INFINITY ? 0.0f : exp_as_cpu(__fsub_rn(x, largest));
    } else {
      float y;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(fmaf(x, kLog2E, -shift)));
      return y;
    }
  }
};
// What is past the row counts as nothing.
__device__ void hide(int64_t k, int64_t V, float (&v)[kEach]) {
  if (k + kEach <= V) return;
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (k + j >= V) v[j] = -INFINITY;
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
    hide(k, V, v);
    if (kKept) put(kept, k, k + kEach, true, v);
#pragma unroll
    for (int j = 0; j < kEach; ++j) largest = fmaxf(largest, v[j]);
  }
  const Exponential<T> e(largest_of_block(largest, largest_of));
  float sum = 0;
#pragma unroll 2
  for (int64_t k = first; k < V; k += kStep) {
    float v[kEach];
    fetch(again, k, kKept ? k + kEach : V, vectors_again, v);
    if (!kKept) hide(k, V, v);
    float part = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) part += e(v[j]);
    sum += part;
  }
  const double total = sum_of_block<kRowWarps>(static_cast<double>(sum), sum_of);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = static_cast<float>(e.base() + log(total) - static_cast<double>(at_target));
  }
  if (gradient_scale == 0.0f) return;
  const float factor = static_cast<float>(static_cast<double>(gradient_scale) / total);
#pragma unroll 2
  for (int64_t k = first; k < V; k += kStep) {
    float v[kEach];
    fetch(again, k, kKept ? k + kEach : V, vectors_again, v);
#pragma unroll
    for (int j = 0; j < kEach; ++j) v[j] = e(v[j]) * factor;
    if (k / kEach == target / kEach) {
#pragma unroll
      for (int j = 0; j < kEach; ++j)
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
