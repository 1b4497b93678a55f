#include "base/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace trit {
namespace {

TEST(DType, NamesAndSizes) {
  EXPECT_EQ(dtype_name(DType::kBF16), "BF16");
  EXPECT_EQ(dtype_size(DType::kBF16), 2u);
  EXPECT_EQ(dtype_name(DType::kBool), "BOOL");
  EXPECT_EQ(dtype_size(DType::kBool), 1u);
  EXPECT_EQ(dtype_name(DType::kI64), "I64");
  EXPECT_EQ(dtype_size(DType::kI64), 8u);
}

// The value of a binary16 by its definition: (-1)^s 2^(e-25) (1024 [e > 0] + m), e at least 1.
float f16_by_definition(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float value = std::ldexp(static_cast<float>(mantissa + (exponent > 0 ? 1024 : 0)),
                           std::max(exponent, 1) - 25);
  if (exponent == 31) value = mantissa == 0 ? INFINITY : NAN;
  return bits & 0x8000 ? -value : value;
}

TEST(Float16, AllBitPatterns) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = f16_to_f32(bits), expected = f16_by_definition(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected)) << i;
      EXPECT_EQ(f32_to_f16(value), bits);
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  // Between each two neighbours: the middle goes to the even one, its neighbours to the nearer.
  for (uint16_t low = 0; low < 0x7BFF; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const float middle = (f16_to_f32(low) + f16_to_f32(high)) / 2;
    EXPECT_EQ(f32_to_f16(middle), low % 2 == 0 ? low : high);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, INFINITY)), high);
    EXPECT_EQ(f32_to_f16(-middle), 0x8000 | (low % 2 == 0 ? low : high));
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xFC00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(-INFINITY), 0xFF80);
  // A NaN whose payload lies in the bits that are cut off.
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));
  EXPECT_EQ(bf16_to_f32(0xC020), -2.5f);
}

TEST(DType, ConvertsArrays) {
  const std::vector<float> values{0.0f, -1.5f, 3.0f, 1024.0f};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    std::vector<std::byte> stored(values.size() * dtype_size(type));
    std::vector<float> read(values.size());
    from_f32(type, values.data(), values.size(), stored.data());
    to_f32(type, stored.data(), read.size(), read.data());
    EXPECT_EQ(read, values) << dtype_name(type);
  }
}

TEST(DTypeDeathTest, IntegersAreNoFloats) {
  float value = 0;
  EXPECT_DEATH(to_f32(DType::kI8, &value, 1, &value), "a floating type");
}

}  // namespace
}  // namespace trit
