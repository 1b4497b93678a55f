#pragma once
// For .cu files: what the kernels of training share: rows of either type taken eight elements at a time, sums of a
// block's threads in a fixed order, and the way from a Float to the type it stands for.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/check.h"
#include "kernels/cuda/training.h"

namespace trit::cuda::training {

using Bf16 = __nv_bfloat16;

// body(T{}) with T float or Bf16.
template <class Body>
void with_type(Float type, Body body) {
  if (type == Float::kF32) return body(float{});
  body(Bf16{});
}

inline constexpr int kEach = 8;  // elements that a thread takes at a time

// A matrix as kernels see it. vectors: every row starts at 16 bytes, so that eight elements are loaded at once.
template <class T>
struct View {
  T* data;
  int64_t stride;
  bool vectors;
  __device__ T* row(int64_t r) const { return data + r * stride; }
};
template <class T, class R>
auto view(const R& rows) {
  using Element = std::conditional_t<std::is_same_v<R, ConstRows>, const T, T>;
  const bool vectors = reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 &&
                       rows.stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  return View<Element>{static_cast<Element*>(rows.data), rows.stride, vectors};
}

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(Bf16 x) { return __bfloat162float(x); }
template <class T>
__device__ T narrow(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return __float2bfloat16_rn(x);
}
__device__ inline uint32_t pair(float low, float high) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&two);
}

// v = elements k..k + 7 of a row of K, zeros past it; k is a multiple of 8.
__device__ inline void fetch(const float* row, int64_t k, int64_t K, bool vectors,
                             float (&v)[kEach]) {
  if (vectors && k + kEach <= K) {
    const float4 a = *reinterpret_cast<const float4*>(row + k);
    const float4 b = *reinterpret_cast<const float4*>(row + k + 4);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
    v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    return;
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j) v[j] = k + j < K ? row[k + j] : 0.0f;
}
__device__ inline void fetch(const Bf16* row, int64_t k, int64_t K, bool vectors,
                             float (&v)[kEach]) {
  if (vectors && k + kEach <= K) {
    const uint4 a = *reinterpret_cast<const uint4*>(row + k);
    const uint32_t words[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      v[2 * j] = __uint_as_float(words[j] << 16);
      v[2 * j + 1] = __uint_as_float(words[j] & 0xFFFF0000U);
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j) v[j] = k + j < K ? wide(row[k + j]) : 0.0f;
}
__device__ inline void put(float* row, int64_t k, int64_t K, bool vectors,
                           const float (&v)[kEach]) {
  if (vectors && k + kEach <= K) {
    *reinterpret_cast<float4*>(row + k) = make_float4(v[0], v[1], v[2], v[3]);
    *reinterpret_cast<float4*>(row + k + 4) = make_float4(v[4], v[5], v[6], v[7]);
    return;
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (k + j < K) row[k + j] = v[j];
}
__device__ inline void put(Bf16* row, int64_t k, int64_t K, bool vectors, const float (&v)[kEach]) {
  if (vectors && k + kEach <= K) {
    *reinterpret_cast<uint4*>(row + k) =
        make_uint4(pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
    return;
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (k + j < K) row[k + j] = __float2bfloat16_rn(v[j]);
}

// The sum of all threads' x, the same for all of them: lanes as a tree, then the warps one after the other. `warps` is
// shared memory that nobody uses any more.
template <int kWarps, class T>
__device__ T sum_of_block(T x, T* warps) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(~0U, x, apart);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();
  x = warps[0];
#pragma unroll
  for (int i = 1; i < kWarps; ++i) x += warps[i];
  return x;
}

// The grid of a kernel in which every thread has eight elements of a row: x counts along rows.
inline constexpr int kThreads = 256;
struct Groups {
  int64_t N;
  uint32_t a_row;  // groups of eight in a row
  // Which row and element this thread has; false where there are no more.
  __device__ bool place(int64_t& r, int64_t& k) const {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (i < int64_t{0xFFFFFFFF}) {
      const auto small = static_cast<uint32_t>(i);
      r = small / a_row;
      k = (small % a_row) * kEach;
    } else {
      r = i / a_row;
      k = i % a_row * kEach;
    }
    return r < N;
  }
  unsigned blocks() const { return static_cast<unsigned>((N * a_row + kThreads - 1) / kThreads); }
};
inline Groups groups(int64_t N, int64_t K) {
  return {N, static_cast<uint32_t>((K + kEach - 1) / kEach)};
}

}  // namespace trit::cuda::training
