#pragma once
// For .cu files: float functions of kernels/cpu/float_rows.h, operation by operation, so that they give its bits.

#include <cstdint>

namespace trit::cuda {

// double(x), exactly, without the slow conversion: 2^52 + 2^31 + x has x in its low bits.
__device__ inline double exact_double(int32_t x) {
  return __dadd_rn(
      __hiloint2double(0x43300000, static_cast<int>(static_cast<uint32_t>(x) ^ 0x80000000U)),
      -4503601774854144.0);
}

// scale_i32
__device__ inline float scaled(int32_t sum_of_levels, double factor) {
  return __double2float_rn(__dmul_rn(exact_double(sum_of_levels), factor));
}

// exp16 of kernels/cpu/float_rows.h, operation by operation, but for the integer of k, whose low bits the sum before
// it has already.
__device__ inline float exp_as_cpu(float x) {
  x = fminf(fmaxf(x, -87.3f), 88.3f);
  const float shifted = __fadd_rn(__fmul_rn(x, 1.44269504088896341f), 12582912.0f);
  const float k = __fsub_rn(shifted, 12582912.0f);
  const float r =
      __fsub_rn(__fsub_rn(x, __fmul_rn(k, 0.693359375f)), __fmul_rn(k, -2.12194440e-4f));
  float p = 1.9875691500e-4f;
  p = __fadd_rn(__fmul_rn(p, r), 1.3981999507e-3f);
  p = __fadd_rn(__fmul_rn(p, r), 8.3334519073e-3f);
  p = __fadd_rn(__fmul_rn(p, r), 4.1665795894e-2f);
  p = __fadd_rn(__fmul_rn(p, r), 1.6666665459e-1f);
  p = __fadd_rn(__fmul_rn(p, r), 5.0000001201e-1f);
  p = __fadd_rn(__fadd_rn(__fmul_rn(p, __fmul_rn(r, r)), r), 1.0f);
  return __fmul_rn(p, __int_as_float((__float_as_int(shifted) << 23) + (127 << 23)));
}

__device__ inline float silu_mul(float gate, float up) {
  const float sigmoid = __fdiv_rn(1.0f, __fadd_rn(1.0f, exp_as_cpu(-gate)));
  return __fmul_rn(__fmul_rn(gate, sigmoid), up);
}

__device__ inline float relu2_mul(float gate, float up) {
  const float g = gate > 0.0f ? gate : 0.0f;
  return __fmul_rn(__fmul_rn(g, g), up);
}

}  // namespace trit::cuda
