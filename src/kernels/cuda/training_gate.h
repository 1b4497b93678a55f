#pragma once
// For training_glu.cu and training_gated.cu: where gate and up stand, and what is made of them.

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda::training {

// Where the eight elements from f on lie.
struct Pairs {
  int64_t F;
  bool by_16, vectors;  // vectors: eight of up start at 16 bytes where those of gate do
  __device__ int64_t gate(int64_t f) const { return by_16 ? f / 16 * 32 + f % 16 : f; }
  __device__ int64_t up(int64_t f) const { return by_16 ? gate(f) + 16 : F + f; }
  // One past the last column of the eight that are there.
  __device__ int64_t end(int64_t column, int64_t f) const {
    return column + (F - f < kEach ? F - f : int64_t{kEach});
  }
};
inline Pairs pairs(GatePlaces places, int64_t F) {
  return {F, places == GatePlaces::kBy16, places == GatePlaces::kBy16 || F % kEach == 0};
}

// float32 rounds as the CPU does; what is rounded to bfloat16 takes the quick way.
template <bool kExact>
__device__ float sigmoid(float g) {
  if constexpr (kExact) return __fdiv_rn(1.0f, __fadd_rn(1.0f, exp_as_cpu(-g)));
  return __fdividef(1.0f, 1.0f + __expf(fminf(-g, 80.0f)));
}

// act(gate) up, and what both of its passes need of the gate: silu's sigmoid.
template <bool kSilu, bool kExact>
__device__ float opening(float gate) {
  if constexpr (kSilu) return sigmoid<kExact>(gate);
  return 0;
}
template <bool kSilu>
__device__ float gated(float gate, float up, float open) {
  if constexpr (!kSilu) return relu2_mul(gate, up);
  return __fmul_rn(__fmul_rn(gate, open), up);
}
// gate and up become their gradients, d that of act(gate) up; as kernels/cpu/float_rows.h rounds.
template <bool kSilu>
__device__ void gate_backward(float d, float open, float& gate, float& up) {
  const float g = gate, by_up = __fmul_rn(d, up);
  if constexpr (kSilu) {
    gate = __fmul_rn(__fmul_rn(by_up, open), __fadd_rn(1.0f, __fmul_rn(g, __fsub_rn(1.0f, open))));
    up = __fmul_rn(__fmul_rn(d, g), open);
  } else {
    const float above = g > 0.0f ? g : 0.0f;
    gate = __fmul_rn(by_up, __fmul_rn(above, 2.0f));
    up = __fmul_rn(d, __fmul_rn(above, above));
  }
}

template <class Body>
void with_activation(Epilogue activation, Body body) {
  if (activation == Epilogue::kSiluMul) return body(std::true_type{});
  body(std::false_type{});
}

}  // namespace trit::cuda::training
