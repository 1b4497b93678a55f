// Steps on a device: PyTorch's (train/oracle_test.cpp), and the CPU's on small models.

#include "train/cuda/trainer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "kernels/cuda/device.h"
#include "train/test_oracle.h"

namespace trit {
namespace {

constexpr int64_t kSequences = 4, kLength = 48;

Config small(Family family) {
  Config c = preset("nano");
  c.vocabulary = 90;
  c.layers = 2;
  c.ffn = 236;  // not a multiple of 16
  c.kv_heads = 1;
  return as_family(c, family);
}

TrainerOptions options(int64_t micro = kSequences) {
  TrainerOptions o;
  o.sequences = kSequences;
  o.micro_sequences = micro;
  o.sequence_length = kLength;
  o.schedule = {100, 0, 1e-3, 1e-3, 1e-3, 0.1, 0.1};
  return o;
}

std::vector<int32_t> tokens(uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids(kSequences * kLength);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(90));
  return ids;
}

double apart(std::span<const float> ours, std::span<const float> theirs) {
  Distance distance;
  distance.add(ours, {theirs.begin(), theirs.end()});
  return distance.relative();
}

constexpr CudaTrainerOptions kInF32{.device = 0, .precision = Precision::kF32};
constexpr CudaTrainerOptions kInBF16{.device = 0, .precision = Precision::kBF16};

void expect_gradients(CudaTrainer& trainer, const Oracle& oracle, double most) {
  const std::vector<float> all = trainer.gradients();
  const Safetensors reference = oracle.file("grads.safetensors");
  for (const TensorRow& row : trainer.current_model().table()) {
    const std::span<const float> ours =
        std::span(all).subspan(static_cast<size_t>(row.offset), static_cast<size_t>(row.count()));
    EXPECT_LT(apart(ours, reference.get(row.hf_name).to_f32()), most) << row.hf_name;
  }
}

// How far from PyTorch's: each gradient, the first loss, all parameters after the first update, and later losses, all relative.
// Those follow from activations that fall on other sides of a rounding boundary, now and then, on devices as on CPUs.
struct Near {
  double gradients, loss, parameters, later_losses;
};

void check_oracle(const Path& folder, const CudaTrainerOptions& where, const Near& near) {
  SCOPED_TRACE(folder.filename().string());
  const Oracle oracle(folder);
  const auto trainer = cuda_trainer(oracle.model(), oracle.options(), where);
  const auto inputs = oracle.tokens("input_ids"), targets = oracle.tokens("targets");
  for (size_t step = 0; step < 5; ++step) {
    const StepReport report = trainer->step(inputs, targets);
    const double expected = oracle.meta.at("loss_before_step").at(step);
    EXPECT_NEAR(report.loss, expected, (step == 0 ? near.loss : near.later_losses) * expected);
    if (step > 0) continue;
    expect_gradients(*trainer, oracle, near.gradients);
    EXPECT_LT(parameter_distance(trainer->current_model(), oracle.file("after1.safetensors")),
              near.parameters);
  }
}

std::vector<Path> all_oracles() {
  std::vector<Path> folders = oracle_folders(TRIT_SOURCE_DIR "/src/train/testdata");
  for (const Path& more : oracle_folders(oracles())) folders.push_back(more);
  return folders;
}

TEST(CudaTrainer, StepsEqualPyTorchs) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Path& folder : all_oracles()) check_oracle(folder, kInF32, {1e-4, 1e-5, 1e-4, 3e-3});
}

TEST(CudaTrainer, StepsInBFloat16AreNearPyTorchs) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Path& folder : all_oracles()) check_oracle(folder, kInBF16, {0.2, 2e-3, 2e-2, 2e-2});
}

class CudaTrainerOf : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  }
  Config config() const { return small(GetParam()); }
  std::unique_ptr<CudaTrainer> trainer(const CudaTrainerOptions& where,
                                       int64_t micro = kSequences) const {
    return cuda_trainer(Model::random(config(), 1), options(micro), where);
  }
};

TEST_P(CudaTrainerOf, StepsAreTheCpus) {
  Trainer cpu(Model::random(config(), 1), options());
  const auto exact = trainer(kInF32), rounded = trainer(kInBF16);
  const StepReport a = cpu.step(tokens(2), tokens(3)), b = exact->step(tokens(2), tokens(3)),
                   c = rounded->step(tokens(2), tokens(3));
  EXPECT_NEAR(a.loss, b.loss, 1e-4);
  EXPECT_NEAR(a.loss, c.loss, 1e-2);
  EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-4 * a.gradient_norm);
  EXPECT_NEAR(a.gradient_norm, c.gradient_norm, 3e-2 * a.gradient_norm);
  EXPECT_NEAR(a.zeros, b.zeros, 1e-3);
  EXPECT_NEAR(a.flips, b.flips, 1e-3);
  EXPECT_LT(apart(exact->gradients(), cpu.gradients()), 1e-3);
  EXPECT_LT(apart(rounded->gradients(), cpu.gradients()), 0.1);
}

TEST_P(CudaTrainerOf, AccumulatesGradients) {
  for (const CudaTrainerOptions& where : {kInF32, kInBF16}) {
    const auto whole = trainer(where, 4), parts = trainer(where, 1);
    for (uint64_t step = 0; step < 3; ++step) {  // recorded, replayed
      const StepReport a = whole->step(tokens(step), tokens(step + 10)),
                       b = parts->step(tokens(step), tokens(step + 10));
      const bool f32 = where.precision == Precision::kF32;
      EXPECT_NEAR(a.loss, b.loss, f32 ? 1e-3 : 1e-2);
      if (step > 0) continue;
      EXPECT_LT(apart(whole->gradients(), parts->gradients()), f32 ? 1e-3 : 3e-2);
    }
  }
}

TEST_P(CudaTrainerOf, RecomputingChangesNoBit) {
  CudaTrainerOptions again = kInBF16;
  again.recompute = true;
  const auto kept = trainer(kInBF16, 2), recomputed = trainer(again, 2);
  for (uint64_t step = 0; step < 2; ++step) {
    const StepReport a = kept->step(tokens(step), tokens(step + 10)),
                     b = recomputed->step(tokens(step), tokens(step + 10));
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
  }
  EXPECT_TRUE(std::ranges::equal(kept->gradients(), recomputed->gradients()));
}

TEST_P(CudaTrainerOf, GoesOnFromItsStateBitForBit) {
  const Path directory = test_folder() / "device_state";
  std::filesystem::create_directories(directory);
  const auto whole = trainer(kInBF16, 2);
  for (uint64_t step = 0; step < 2; ++step) whole->step(tokens(step), tokens(step + 10));
  write_hf_model(directory, whole->current_model(), nullptr);
  whole->save_state(directory);
  const auto resumed = cuda_trainer(Model::open_masters(directory), options(2), kInBF16);
  resumed->load_state(directory);
  EXPECT_EQ(resumed->steps_done(), 2);
  for (uint64_t step = 2; step < 5; ++step) {
    const StepReport a = whole->step(tokens(step), tokens(step + 10)),
                     b = resumed->step(tokens(step), tokens(step + 10));
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
    EXPECT_EQ(a.flips, b.flips);
  }
  EXPECT_TRUE(
      std::ranges::equal(whole->current_model().masters(), resumed->current_model().masters()));
}

TEST_P(CudaTrainerOf, LearnsABatchByHeartAndPredictsIt) {
  const auto learner = trainer(kInBF16);
  const double first = learner->step(tokens(2), tokens(3)).loss;
  EXPECT_NEAR(first, std::log(90.0), 0.3);  // knows nothing yet
  StepReport last;
  for (int step = 0; step < 60; ++step) last = learner->step(tokens(2), tokens(3));
  EXPECT_LT(last.loss, 0.8 * first);
  if (config().weights == WeightKind::kTernary) {
    EXPECT_GT(last.zeros, 0.2);
    EXPECT_LT(last.zeros, 0.5);
    EXPECT_GT(last.flips, 0.0);
  }
}

TEST_P(CudaTrainerOf, HeldOutLossIsTheCpus) {
  Trainer cpu(Model::random(config(), 1), options(2));
  std::vector<int32_t> text = tokens(7);
  text.resize(3 * kLength + 11);  // passes of two sequences: one whole, one with a part of a window
  EXPECT_NEAR(trainer(kInF32, 2)->held_out_loss(text, kLength), cpu.held_out_loss(text, kLength),
              1e-4);
}

INSTANTIATE_TEST_SUITE_P(Families, CudaTrainerOf,
                         testing::Values(Family::kBitNet, Family::kBitNetPaper, Family::kBitNet2B4T,
                                         Family::kBinary, Family::kLlama));

TEST(CudaTrainer, StopsBeforeAnUpdateThatIsNotFinite) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Family family : {Family::kLlama, Family::kBitNet}) {
    Model model = Model::random(small(family), 1);
    model.masters()[0] = std::numeric_limits<float>::infinity();
    const auto trainer = cuda_trainer(std::move(model), options(), kInBF16);
    const std::vector<int32_t> ids(kSequences * kLength, 0);
    EXPECT_THROW(trainer->step(ids, ids), Error) << to_string(family);
    EXPECT_EQ(trainer->steps_done(), 0);
  }
}

TEST(CudaTrainer, NamesATokenOutsideTheVocabulary) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const auto trainer = cuda_trainer(Model::random(small(Family::kBitNet), 1), options(), kInBF16);
  std::vector<int32_t> ids = tokens(2);
  ids[5] = 90;
  EXPECT_THROW(trainer->step(ids, tokens(3)), Error);
}

}  // namespace
}  // namespace trit
