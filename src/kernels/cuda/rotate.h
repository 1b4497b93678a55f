#pragma once
// For .cu files: a head of a query, key or value made ready by one warp: normed, turned to its position, and stored as a row
// of a page.

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/kv_page.h"

namespace trit::cuda {

inline __device__ float warp_max(float v) {
  for (int apart = 16; apart > 0; apart /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, apart));
  return v;
}

// v[j]: dim lane + 32 j. As rmsnorm of kernels/cpu/float_rows.h, but for the order of the sum.
template <int kEach>
__device__ void norm_head(const Norm& norm, int D, float (&v)[kEach]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  double sum = 0;
#pragma unroll
  for (int j = 0; j < kEach; ++j) sum += static_cast<double>(v[j]) * static_cast<double>(v[j]);
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
  const double r = 1.0 / sqrt(sum / D + static_cast<double>(norm.epsilon));
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const int d = lane + 32 * j;
    double normed = static_cast<double>(v[j]) * r;
    if (norm.gain != nullptr && d < D) normed *= static_cast<double>(norm.gain[d]);
    v[j] = static_cast<float>(normed);
  }
}

// row [32 kEach], in shared memory = v, dim lane + 32 j in v[j], turned by the angles of its position (cosine and sine
// [D / 2], or null: as it is): halves rotated as rotate of kernels/cpu/float_rows.h rounds.
template <int kEach>
__device__ void turn_head(const float (&v)[kEach], int D, const float* cosine, const float* sine,
                          float* row) {
  const int lane = static_cast<int>(threadIdx.x) % 32, half = D / 2;
#pragma unroll
  for (int j = 0; j < kEach; ++j) row[lane + 32 * j] = v[j];
  __syncwarp();
  if (cosine == nullptr) return;
#pragma unroll
  for (int j = 0; j < (kEach + 1) / 2; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    const float c = cosine[i], s = sine[i];
    const float first = row[i], second = row[i + half];
    row[i] = __fsub_rn(__fmul_rn(first, c), __fmul_rn(second, s));
    row[i + half] = __fadd_rn(__fmul_rn(second, c), __fmul_rn(first, s));
  }
  __syncwarp();
}

// A key or value (in shared memory) into its row of a page.
template <KvType kType>
__device__ void store_row(const float* x, int D, std::byte* row, std::byte* scales) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int padded = (D + 7) / 8 * 8;
  if constexpr (kType == KvType::kF32) {
    for (int d = lane; d < padded; d += 32) reinterpret_cast<float*>(row)[d] = d < D ? x[d] : 0.0f;
  } else if constexpr (kType == KvType::kF16) {
    for (int d = lane; d < padded; d += 32) {
      const float v = d < D ? fminf(fmaxf(x[d], -65504.0f), 65504.0f) : 0.0f;
      reinterpret_cast<__half*>(row)[d] = __float2half_rn(v);
    }
  } else if constexpr (kType == KvType::kInt8) {
    float most = 0;
    for (int d = lane; d < D; d += 32) most = fmaxf(most, fabsf(x[d]));
    most = warp_max(most);
    const float scale = __fdiv_rn(most, 127.0f);
    const float inverse = scale > 0 ? __fdiv_rn(1.0f, scale) : 0.0f;
    for (int d = lane; d < padded; d += 32) {
      const int q = d < D ? __float2int_rn(__fmul_rn(x[d], inverse)) : 0;
      reinterpret_cast<int8_t*>(row)[d] = static_cast<int8_t>(max(-127, min(127, q)));
    }
    if (lane == 0) *reinterpret_cast<float*>(scales) = scale;
  } else {
    for (int first = 0; first < padded; first += 32) {
      const int d = first + lane;
      const float v = d < D ? x[d] : 0.0f;
      const __half scale = __float2half_rn(__fdiv_rn(warp_max(fabsf(v)), 7.0f));
      const float s = __half2float(scale);
      const float inverse = s > 0 ? __fdiv_rn(1.0f, s) : 0.0f;
      const int q = max(-7, min(7, __float2int_rn(__fmul_rn(v, inverse)))) + 8;
      const int next = __shfl_down_sync(~0u, q, 1);
      if (lane % 2 == 0 && d < padded)
        reinterpret_cast<uint8_t*>(row)[d / 2] = static_cast<uint8_t>(q | next << 4);
      if (lane == 0) reinterpret_cast<__half*>(scales)[first / 32] = scale;
    }
  }
}

// The same of four dims a lane, 4 i to 4 i + 3 of lane i of the kD / 4 that have the head, which all call together; row null: nothing is stored.
template <KvType kType, int kD>
__device__ void store_fours(float4 x, std::byte* row, std::byte* scales) {
  constexpr int kLanes = kD / 4;
  const int i = static_cast<int>(threadIdx.x) % kLanes;
  const float v[4] = {x.x, x.y, x.z, x.w};
  const auto most_of = [&](int lanes) {
    float most = fmaxf(fmaxf(fabsf(v[0]), fabsf(v[1])), fmaxf(fabsf(v[2]), fabsf(v[3])));
    for (int apart = lanes / 2; apart > 0; apart /= 2)
      most = fmaxf(most, __shfl_xor_sync(~0u, most, apart));
    return most;
  };
  if constexpr (kType == KvType::kF32) {
    if (row != nullptr) reinterpret_cast<float4*>(row)[i] = x;
  } else if constexpr (kType == KvType::kF16) {
    const auto two = [&](int j) {
      const __half2 h = __floats2half2_rn(fminf(fmaxf(v[j], -65504.0f), 65504.0f),
                                          fminf(fmaxf(v[j + 1], -65504.0f), 65504.0f));
      return *reinterpret_cast<const uint32_t*>(&h);
    };
    if (row != nullptr) reinterpret_cast<uint2*>(row)[i] = {two(0), two(2)};
  } else if constexpr (kType == KvType::kInt8) {
    const float scale = __fdiv_rn(most_of(kLanes), 127.0f);
    const float inverse = scale > 0 ? __fdiv_rn(1.0f, scale) : 0.0f;
    uint32_t word = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int q = max(-127, min(127, __float2int_rn(__fmul_rn(v[j], inverse))));
      word |= (static_cast<uint32_t>(q) & 0xFF) << 8 * j;
    }
    if (row == nullptr) return;
    reinterpret_cast<uint32_t*>(row)[i] = word;
    if (i == 0) *reinterpret_cast<float*>(scales) = scale;
  } else {
    const __half scale = __float2half_rn(__fdiv_rn(most_of(8), 7.0f));
    const float s = __half2float(scale), inverse = s > 0 ? __fdiv_rn(1.0f, s) : 0.0f;
    uint32_t word = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      word |= static_cast<uint32_t>(max(-7, min(7, __float2int_rn(__fmul_rn(v[j], inverse)))) + 8)
              << 4 * j;
    if (row == nullptr) return;
    reinterpret_cast<uint16_t*>(row)[i] = static_cast<uint16_t>(word);
    if (i % 8 == 0) reinterpret_cast<__half*>(scales)[i / 8] = scale;
  }
}

}  // namespace trit::cuda
