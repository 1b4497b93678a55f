// Evaluation on a device against the CPU's.

#include <gtest/gtest.h>

#include "base/rng.h"
#include "eval/perplexity.h"
#include "eval/verify.h"
#include "eval/whole_text.h"
#include "kernels/cuda/device.h"

namespace trit {
namespace {

std::vector<int32_t> text(size_t count) {
  Rng rng(4);
  std::vector<int32_t> ids(count);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(100));
  return ids;
}

Config shape(Family family) {
  Config c = preset("nano");
  c.vocabulary = 100;
  c.layers = 2;
  c.context = 4096;
  return as_family(c, family);
}

// The loss over a text averages out what single roundings do to single tokens.
TEST(CudaEval, PerplexityIsTheCpus) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Family family : {Family::kBitNet, Family::kLlama}) {
    const Model model = Model::random(shape(family), 2);
    const std::vector<int32_t> ids = text(2300);
    for (const int64_t window : {7, 100, 2200}) {
      const PerplexityReport cpu = perplexity(model.weights(), ids, window);
      for (const auto& [type, near] : {std::pair(KvType::kF32, 1e-4), {KvType::kF16, 1e-3}}) {
        Place place("cuda");
        const PerplexityReport there = perplexity(place, model.weights(), type, ids, window);
        EXPECT_EQ(there.tokens, cpu.tokens);
        EXPECT_NEAR(there.loss(), cpu.loss(), near) << to_string(family) << " " << window;
      }
    }
  }
}

TEST(CudaEval, ComparesLogitsAlone) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Model model = Model::random(shape(Family::kLlama), 2);
  Place place("cuda");
  const VerifyReport report = verify(model, model, text(300), place);
  EXPECT_LT(report.worst_relative_l2(), 1e-3);
  EXPECT_TRUE(report.hidden.empty());
}

}  // namespace
}  // namespace trit
