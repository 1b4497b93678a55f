#include "base/timer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace trit {
namespace {

TEST(PeakMemory, GrowsWithWhatIsTouched) {
  EXPECT_GT(peak_memory(), size_t{1} << 20);
  constexpr size_t kBytes = size_t{64} << 20;
  void* block = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  EXPECT_GE(peak_memory(), kBytes);
  munmap(block, kBytes);
}

TEST(Timer, NeverRunsBackwards) {
  const Timer timer;
  const double first = timer.seconds();
  EXPECT_GE(first, 0);
  EXPECT_GE(timer.seconds(), first);
}

}  // namespace
}  // namespace trit
