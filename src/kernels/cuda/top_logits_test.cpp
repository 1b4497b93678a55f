#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

using Floats = std::vector<float>;

void expect_top(const Floats& logits, int64_t T, int64_t V, int64_t k) {
  SCOPED_TRACE(testing::Message() << "T " << T << " V " << V << " k " << k);
  const Stream stream;
  const DeviceMemory on_device(static_cast<int64_t>(logits.size()) * 4);
  const DeviceMemory tokens(T * k * 4), values(T * k * 4);
  const DeviceMemory memory(top_logits_scratch_bytes(T, V, k));
  for (const DeviceMemory* poisoned : {&tokens, &values, &memory})
    fill(poisoned->data(), 0xFF, poisoned->bytes(), stream.handle());
  copy_to_device(on_device.data(), logits.data(), on_device.bytes(), stream.handle());
  top_logits(stream.handle(), on_device.as<float>(), T, V, k, tokens.as<int32_t>(),
             values.as<float>(), {.memory = memory.data(), .bytes = memory.bytes()});
  std::vector<int32_t> got(static_cast<size_t>(T * k));
  Floats of(got.size());
  copy_to_host(got.data(), tokens.data(), tokens.bytes(), stream.handle());
  copy_to_host(of.data(), values.data(), values.bytes(), stream.handle());
  stream.wait();
  for (int64_t t = 0; t < T; ++t) {
    const float* row = logits.data() + t * V;
    std::vector<int32_t> order(static_cast<size_t>(V));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return row[a] > row[b]; });
    for (int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>(t * k + i);
      ASSERT_EQ(got[at], order[static_cast<size_t>(i)]) << "row " << t << " place " << i;
      ASSERT_EQ(of[at], row[order[static_cast<size_t>(i)]]) << "row " << t << " place " << i;
    }
  }
}

Floats random_logits(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  Floats v(static_cast<size_t>(n));
  for (float& x : v) x = normal(random);
  return v;
}

class CudaTopLogits : public testing::Test {
 protected:
  void SetUp() override {
    if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  }
};

TEST_F(CudaTopLogits, OfRandomRows) {
  for (const int64_t V : {64, 65, 1023, 32000, 128256}) {
    for (const int64_t k : {1, 2, 31, 40, 64}) {
      expect_top(random_logits(V, 1), 1, V, k);
      expect_top(random_logits(5 * V, 2), 5, V, k);
    }
  }
  expect_top(random_logits(300 * 4099, 3), 300, 4099, 64);
  expect_top(random_logits(300 * 4099, 3), 300, 4099, 1);
  for (const int64_t k : {1, 3}) expect_top(random_logits(3, 4), 1, 3, k);
}

// Large logits that share few of the remainders modulo the size of a block, whatever it is.
TEST_F(CudaTopLogits, OfRowsWhoseLargestStandTogether) {
  Floats logits = random_logits(140 * 40000, 5);
  for (size_t i = 0; i < logits.size(); ++i)
    if (i % 40000 % 512 < 60) logits[i] += 100.0f;
  for (const int64_t k : {3, 64}) {
    expect_top(logits, 140, 40000, k);
    expect_top(logits, 1, 5600000, k);
  }
}

TEST_F(CudaTopLogits, SmallerTokenOfTies) {
  Floats few(70000);
  for (size_t i = 0; i < few.size(); ++i) few[i] = static_cast<float>(i * 7919 % 11);
  for (const int64_t k : {1, 64}) {
    expect_top(few, 2, 35000, k);
    expect_top(Floats(4000, -1.5f), 1, 4000, k);
    Floats zeros(4000, -0.0f);
    for (size_t i = 100; i < zeros.size(); i += 3) zeros[i] = 0.0f;
    expect_top(zeros, 1, 4000, k);
  }
}

TEST_F(CudaTopLogits, InfinitiesAndRisingOrder) {
  Floats rising(20000);
  std::iota(rising.begin(), rising.end(), -10000.0f);
  rising[77] = INFINITY;
  for (size_t i = 5000; i < 19990; ++i) rising[i] = -INFINITY;
  for (const int64_t k : {1, 40}) expect_top(rising, 1, 20000, k);
}

}  // namespace
}  // namespace trit::cuda
