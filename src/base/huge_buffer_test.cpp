#include "base/huge_buffer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit {
namespace {

TEST(HugeBuffer, IsAlignedZeroAndMovable) {
  for (const size_t bytes : {size_t{1}, size_t{4096}, (size_t{2} << 20) + 1}) {
    HugeBuffer buffer(bytes);
    ASSERT_EQ(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (size_t{2} << 20), 0u);
    EXPECT_EQ(buffer.data()[0], 0);
    buffer.data()[bytes - 1] = 7;
    HugeBuffer moved;
    moved = std::move(buffer);
    EXPECT_EQ(moved.data()[bytes - 1], 7);
  }
  EXPECT_EQ(HugeBuffer(0).data(), nullptr);
}

TEST(HugeBuffer, TooMuchIsAnError) {
  EXPECT_THROW(HugeBuffer(size_t{1} << 60), Error);
  EXPECT_THROW(HugeBuffer(SIZE_MAX), Error);
}

}  // namespace
}  // namespace trit
