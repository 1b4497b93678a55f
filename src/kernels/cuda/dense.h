#pragma once
// What the files of dense layers share. For .cu files.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels/cuda/kernels.h"

namespace trit::cuda {

// dense_linear_fused for up to kSmallRows rows, and for more. `large` takes floats only.
void dense_linear_small(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride);
void dense_linear_large(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride, const Scratch& scratch);

constexpr bool is_float(DenseForm form) { return form <= DenseForm::kBF16; }
inline __host__ __device__ bool is_glu(Epilogue epilogue) { return epilogue >= Epilogue::kSiluMul; }

// act(gate) up of the two GLU epilogues.
inline __device__ float glu(Epilogue epilogue, float gate, float up) {
  if (epilogue == Epilogue::kSiluMul) return gate / (1.0f + expf(-gate)) * up;
  const float positive = fmaxf(gate, 0.0f);
  return positive * positive * up;
}

inline __device__ float half_at(const uint8_t* p) {
  return __half2float(
      __ushort_as_half(static_cast<uint16_t>(p[0] | static_cast<uint16_t>(p[1]) << 8)));
}

// Weight k of a row as float32; blocks as quant/layout_*.cpp decode them.
template <DenseForm kForm>
__device__ float weight_at(const uint8_t* row, int64_t k) {
  if constexpr (kForm == DenseForm::kF32) {
    return reinterpret_cast<const float*>(row)[k];
  } else if constexpr (kForm == DenseForm::kF16) {
    return __half2float(reinterpret_cast<const __half*>(row)[k]);
  } else if constexpr (kForm == DenseForm::kBF16) {
    return __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(row)[k]);
  } else if constexpr (kForm == DenseForm::kQ8_0) {
    const uint8_t* b = row + k / 32 * 34;
    return static_cast<float>(static_cast<int8_t>(b[2 + k % 32])) * half_at(b);
  } else if constexpr (kForm == DenseForm::kQ4_0) {
    const uint8_t* b = row + k / 32 * 18;
    const int i = static_cast<int>(k % 32), byte = b[2 + i % 16];
    return static_cast<float>((i < 16 ? byte & 15 : byte >> 4) - 8) * half_at(b);
  } else if constexpr (kForm == DenseForm::kQ6_K) {
    const uint8_t* b = row + k / 256 * 210;
    const int i = static_cast<int>(k % 256), half = i / 128, run = i % 128 / 32, at = i % 32;
    const int four = b[64 * half + run % 2 * 32 + at], two = b[128 + 32 * half + at];
    const int code = (run < 2 ? four & 15 : four >> 4) | (two >> (2 * run) & 3) << 4;
    const auto scale = static_cast<float>(static_cast<int8_t>(b[192 + i / 16]));
    return static_cast<float>(code - 32) * (scale * half_at(b + 208));
  } else {
    const uint8_t* b = row + k / 256 * 144;
    const int i = static_cast<int>(k % 256), run = i / 32;
    const uint8_t* six = b + 4;
    const int scale = run < 4 ? six[run] & 63 : (six[run + 4] & 15) | six[run - 4] >> 6 << 4;
    const int least = run < 4 ? six[run + 4] & 63 : six[run + 4] >> 4 | six[run] >> 6 << 4;
    const int byte = b[16 + run / 2 * 32 + i % 32];
    return __fsub_rn(static_cast<float>(run % 2 == 0 ? byte & 15 : byte >> 4) *
                         (half_at(b) * static_cast<float>(scale)),
                     half_at(b + 2) * static_cast<float>(least));
  }
}

// An activation as layers of that form take it.
template <DenseForm kForm>
__device__ float rounded_input(float x) {
  if constexpr (kForm == DenseForm::kF16) return __half2float(__float2half_rn(x));
  if constexpr (kForm == DenseForm::kBF16) return __bfloat162float(__float2bfloat16_rn(x));
  return x;
}

template <DenseForm kForm>
struct FormTag {
  static constexpr DenseForm kIs = kForm;
};
// call(FormTag<form>) of a form known at run time.
template <class Call>
void with_form(DenseForm form, Call call) {
  switch (form) {
    case DenseForm::kF32:
      return call(FormTag<DenseForm::kF32>());
    case DenseForm::kF16:
      return call(FormTag<DenseForm::kF16>());
    case DenseForm::kBF16:
      return call(FormTag<DenseForm::kBF16>());
    case DenseForm::kQ8_0:
      return call(FormTag<DenseForm::kQ8_0>());
    case DenseForm::kQ6_K:
      return call(FormTag<DenseForm::kQ6_K>());
    case DenseForm::kQ4_0:
      return call(FormTag<DenseForm::kQ4_0>());
    case DenseForm::kQ4_K:
      return call(FormTag<DenseForm::kQ4_K>());
  }
}

}  // namespace trit::cuda
