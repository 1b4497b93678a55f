#include "kernels/cuda/test_rows.h"

namespace trit::cuda {
namespace {

TEST(CudaCrossEntropy, LossAndGradientAreTheCpus) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  constexpr int64_t N = 4;
  for (const Float type : {Float::kF32, Float::kBF16}) {
    for (const int64_t V : {1, 3, 513, 32000, 32002, 128256}) {
      SCOPED_TRACE(fmt::format("V {} type {}", V, static_cast<int>(type)));
      std::vector<float> values = random_values(N * V, 5);
      for (int64_t i = 0; i < N * V; ++i)
        values[static_cast<size_t>(i)] *= std::pow(10.0f, static_cast<float>(i / V) - 1);
      const TestRows logits(type, N, V, V % 2 == 0 ? 8 : 1, values, s);
      Rng rng(6);
      std::vector<int32_t> targets;
      for (int64_t n = 0; n < N; ++n)
        targets.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(V))));
      const DeviceMemory dtargets = on_device(targets, s), losses = poisoned<float>(N, s);
      constexpr float kScale = 0.3f;
      cross_entropy(s, logits.rows(), N, V, dtargets.as<int32_t>(), kScale, losses.as<float>());
      std::vector<float> want = logits.values(), want_losses;
      for (int64_t n = 0; n < N; ++n)
        want_losses.push_back(scalar().cross_entropy(want.data() + n * V, V,
                                                     targets[static_cast<size_t>(n)], kScale));
      expect_near(logits.download(), want, type, 1e-5f, 1e-6f * kScale);
      expect_near(on_host<float>(losses, s), want_losses, Float::kF32, 1e-5f, 1e-5f);
      const DeviceMemory sum = on_device(std::vector<double>{2.0}, s);
      sum_values(s, losses.as<float>(), N, true, sum.as<double>());
      double total = 2.0;
      for (const float x : on_host<float>(losses, s)) total += static_cast<double>(x);
      EXPECT_NEAR(on_host<double>(sum, s)[0] / total, 1.0, 1e-12);
    }
  }
}

}  // namespace
}  // namespace trit::cuda
