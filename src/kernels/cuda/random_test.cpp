#include <gtest/gtest.h>

#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr uint64_t kSeed = 7;
constexpr int64_t kWords = 1 << 21;  // more than a grid has threads

template <class Fill>
std::vector<uint64_t> filled(const Fill& fill) {
  const DeviceMemory memory(8 * kWords + 8);
  const Stream stream;
  cuda::fill(memory.data(), 0xEE, memory.bytes(), stream.handle());
  fill(stream.handle(), memory.data());
  std::vector<uint64_t> words(kWords + 1);
  copy_to_host(words.data(), memory.data(), memory.bytes(), stream.handle());
  stream.wait();
  EXPECT_EQ(words.back(), 0xEEEE'EEEE'EEEE'EEEEu);
  return words;
}

TEST(CudaRandom, CodesAreValidAndKnown) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const auto words =
      filled([](StreamHandle stream, void* out) { random_codes(stream, out, 8 * kWords, kSeed); });
  for (const int64_t i : {int64_t{0}, int64_t{1}, kWords / 2 + 3, kWords - 1}) {
    const uint64_t random = splitmix64(kSeed + static_cast<uint64_t>(i));
    for (int s = 0; s < 64; s += 2) {
      const uint64_t pair = random >> s & 3;
      EXPECT_EQ(words[static_cast<size_t>(i)] >> s & 3, pair == 3 ? 1 : pair) << i << ", " << s;
    }
  }
}

TEST(CudaRandom, HalvesAreKnown) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const auto words = filled(
      [](StreamHandle stream, void* out) { random_halves(stream, out, 8 * kWords, kSeed, 0.04f); });
  for (const int64_t i : {int64_t{0}, int64_t{1}, kWords / 2 + 3, kWords - 1}) {
    const uint64_t random = splitmix64(kSeed + static_cast<uint64_t>(i));
    for (int s = 0; s < 64; s += 16) {
      const float value =
          0.04f * (static_cast<float>(static_cast<int16_t>(random >> s)) * 0x1p-15f);
      EXPECT_EQ(words[static_cast<size_t>(i)] >> s & 0xFFFF, f32_to_f16(value)) << i << ", " << s;
    }
  }
}

}  // namespace
}  // namespace trit::cuda
