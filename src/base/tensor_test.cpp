#include "base/tensor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

TEST(ElementCount, MultipliesAndRefuses) {
  EXPECT_EQ(element_count({}), 1);  // a scalar
  EXPECT_EQ(element_count({4, 128}), 512);
  EXPECT_EQ(element_count({int64_t{1} << 40, 0, int64_t{1} << 40}), 0);
  EXPECT_EQ(element_count({int64_t{1} << 31, int64_t{1} << 31}), int64_t{1} << 62);
  EXPECT_THROW(element_count({int64_t{1} << 31, int64_t{1} << 32}), Error);
  EXPECT_THROW(element_count({3, -1}), Error);
  EXPECT_THROW(element_count({INT64_MIN}), Error);
}

TEST(Shape, Prints) {
  EXPECT_EQ(to_string(Shape{4, 128}), "[4, 128]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(TensorView, ReadsUnalignedBfloat16) {
  // 1.0, -2.5, 0.15625 in bfloat16, little-endian, one byte past an aligned address.
  alignas(8) const unsigned char bytes[] = {0xAA, 0x80, 0x3F, 0x20, 0xC0, 0x20, 0x3E};
  const TensorView view{DType::kBF16, {3, 1}, reinterpret_cast<const std::byte*>(bytes + 1)};
  EXPECT_EQ(view.count(), 3);
  EXPECT_EQ(view.bytes(), 6u);
  EXPECT_EQ(view.to_f32(), (std::vector<float>{1.0f, -2.5f, 0.15625f}));
}

TEST(Buffer, IsAlignedAndZeroed) {
  for (const size_t count : {0, 1, 17, 1000}) {
    auto buffer = Buffer<float>::zeros(count);
    EXPECT_EQ(buffer.size(), count);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    for (const float value : buffer) EXPECT_EQ(value, 0.0f);
  }
  EXPECT_THROW(Buffer<double>(SIZE_MAX / 8), std::bad_alloc);
}

}  // namespace
}  // namespace trit
