#include "base/dtype.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

struct DTypeRow {
  std::string_view name;
  size_t size;
};

constexpr DTypeRow kRows[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I8", 1},
                              {"U8", 1},  {"I16", 2}, {"I32", 4},  {"I64", 8}, {"BOOL", 1}};

const DTypeRow& row(DType type) {
  const auto index = static_cast<size_t>(type);
  TRIT_CHECK(index < std::size(kRows));
  return kRows[index];
}

template <class Stored, class Convert>
void read_all(const void* source, size_t count, float* target, Convert convert) {
  const auto* bytes = static_cast<const std::byte*>(source);
  for (size_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, bytes + i * sizeof(Stored), sizeof(Stored));
    target[i] = convert(value);
  }
}

template <class Stored, class Convert>
void write_all(const float* source, size_t count, void* target, Convert convert) {
  auto* bytes = static_cast<std::byte*>(target);
  for (size_t i = 0; i < count; ++i) {
    const Stored value = convert(source[i]);
    std::memcpy(bytes + i * sizeof(Stored), &value, sizeof(Stored));
  }
}

// `value` shifted right by `shift`, rounded to nearest, ties to even.
uint32_t shift_right_even(uint32_t value, uint32_t shift) {
  const uint32_t half = uint32_t{1} << (shift - 1);
  const uint32_t odd = (value >> shift) & 1;
  return (value + half - 1 + odd) >> shift;
}

}  // namespace

size_t dtype_size(DType type) { return row(type).size; }
std::string_view dtype_name(DType type) { return row(type).name; }

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in float32
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t wide_exponent = exponent == 0x1F ? 0xFFu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | mantissa << 13);
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  const uint32_t exponent = magnitude >> 23;
  uint32_t result = 0;
  if (magnitude > 0x7F800000u) {
    result = 0x7E00u | ((magnitude >> 13) & 0x3FFu);  // a quiet NaN that keeps its payload
  } else if (magnitude >= 0x477FF000u) {
    result = 0x7C00u;  // 65520 and more rounds to infinity
  } else if (exponent >= 127 - 14) {
    result = shift_right_even(magnitude - ((127u - 15u) << 23), 13);
  } else if (exponent >= 127 - 25) {  // subnormal: units of 2^-24
    result = shift_right_even((magnitude & 0x7FFFFFu) | 0x800000u, 127 - 1 - exponent);
  }
  return static_cast<uint16_t>(sign | result);
}

float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>(shift_right_even(bits, 16));
}

void to_f32(DType type, const void* source, size_t count, float* target) {
  switch (type) {
    case DType::kF32:
      if (count > 0) std::memcpy(target, source, count * sizeof(float));
      return;
    case DType::kF16:
      return read_all<uint16_t>(source, count, target, f16_to_f32);
    case DType::kBF16:
      return read_all<uint16_t>(source, count, target, bf16_to_f32);
    case DType::kF64:
      return read_all<double>(source, count, target,
                              [](double value) { return static_cast<float>(value); });
    default:
      TRIT_CHECK(!"a floating type");
  }
}

void from_f32(DType type, const float* source, size_t count, void* target) {
  switch (type) {
    case DType::kF32:
      if (count > 0) std::memcpy(target, source, count * sizeof(float));
      return;
    case DType::kF16:
      return write_all<uint16_t>(source, count, target, f32_to_f16);
    case DType::kBF16:
      return write_all<uint16_t>(source, count, target, f32_to_bf16);
    case DType::kF64:
      return write_all<double>(source, count, target,
                               [](float value) { return static_cast<double>(value); });
    default:
      TRIT_CHECK(!"a floating type");
  }
}

}  // namespace trit
