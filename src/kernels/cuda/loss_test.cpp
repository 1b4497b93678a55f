#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/cuda/kernels.h"
#include "kernels/kernels.h"

namespace trit::cuda {
namespace {

TEST(CudaLoss, IsTheScalarKernels) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  Rng rng(3);
  for (const int64_t V : {1, 2, 31, 513, 32002, 128256}) {
    constexpr int64_t T = 5;
    std::vector<float> logits(static_cast<size_t>(T * V)), losses(T, -7.0f);
    std::vector<int32_t> targets;
    // Rows of small, of large and of very unlike logits.
    for (int64_t i = 0; i < T * V; ++i)
      logits[static_cast<size_t>(i)] =
          rng.normal() * std::pow(10.0f, static_cast<float>(i / V) - 1);
    for (int64_t t = 0; t < T; ++t)
      targets.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(V))));
    const DeviceMemory on_device(4 * T * V), of_targets(4 * T), out(4 * T);
    copy_to_device(on_device.data(), logits.data(), 4 * T * V, stream.handle());
    copy_to_device(of_targets.data(), targets.data(), 4 * T, stream.handle());
    fill(out.data(), 0xFF, 4 * T, stream.handle());
    token_losses(stream.handle(), on_device.as<float>(), T, V, of_targets.as<int32_t>(),
                 out.as<float>());
    copy_to_host(losses.data(), out.data(), 4 * T, stream.handle());
    stream.wait();
    for (int64_t t = 0; t < T; ++t) {
      const float expected =
          kernels::table(kernels::Isa::kScalar)
              .cross_entropy(logits.data() + t * V, V, targets[static_cast<size_t>(t)], 0.0f);
      const auto apart = std::fabs(losses[static_cast<size_t>(t)] - expected);
      EXPECT_LE(apart, 1e-5f * std::max(1.0f, std::fabs(expected))) << V << ", row " << t;
    }
  }
}

}  // namespace
}  // namespace trit::cuda
