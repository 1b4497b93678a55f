#pragma once
// Element types of tensors in memory and in files, and the 16-bit float conversions.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trit {

enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kI8, kU8, kI16, kI32, kI64, kBool };

// Bytes of one element.
size_t dtype_size(DType type);
// "F32", "BF16", "U8", ... as safetensors spells them.
std::string_view dtype_name(DType type);

// IEEE 754 binary16 and bfloat16, round to nearest even; NaN stays NaN.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);

// Reads `count` elements of a floating type as float32. `source` needs no alignment.
void to_f32(DType type, const void* source, size_t count, float* target);
// Writes `count` float32 values as a floating type.
void from_f32(DType type, const float* source, size_t count, void* target);

}  // namespace trit
