#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

Config small(Family family) {
  Config c = preset("nano");
  c.vocabulary = 50;
  c.layers = 2;
  return as_family(c, family);
}

TrainerOptions options(int64_t micro) {
  TrainerOptions o;
  o.sequences = 4;
  o.micro_sequences = micro;
  o.sequence_length = 16;
  o.schedule = {100, 0, 1e-3, 1e-3, 1e-3, 0.1, 0.1};
  return o;
}

std::vector<int32_t> tokens(uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids(64);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(50));
  return ids;
}

class TrainerTest : public testing::TestWithParam<Family> {};

// Gradients of a step are the same, up to the order of the sums, however it is divided.
TEST_P(TrainerTest, AccumulatesGradients) {
  Trainer whole(Model::random(small(GetParam()), 1), options(4)),
      parts(Model::random(small(GetParam()), 1), options(1));
  const StepReport a = whole.step(tokens(2), tokens(3)), b = parts.step(tokens(2), tokens(3));
  EXPECT_NEAR(a.loss, b.loss, 1e-6);
  EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-5 * a.gradient_norm);
  for (size_t i = 0; i < whole.gradients().size(); ++i) {
    EXPECT_NEAR(whole.gradients()[i], parts.gradients()[i], 1e-6);
  }
}

TEST_P(TrainerTest, ThreadsDoNotChangeABit) {
  std::vector<std::vector<float>> masters;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Trainer trainer(Model::random(small(GetParam()), 1), options(2));
    for (uint64_t step = 0; step < 3; ++step) trainer.step(tokens(step), tokens(step + 10));
    masters.emplace_back(trainer.model().masters().begin(), trainer.model().masters().end());
  }
  EXPECT_EQ(masters[0], masters[1]);
  EXPECT_EQ(masters[0], masters[2]);
}

TEST_P(TrainerTest, LearnsABatchByHeart) {
  Trainer trainer(Model::random(small(GetParam()), 1), options(4));
  const double first = trainer.step(tokens(2), tokens(3)).loss;
  EXPECT_NEAR(first, std::log(50.0), 0.3);  // knows nothing yet
  StepReport last;
  for (int step = 0; step < 40; ++step) last = trainer.step(tokens(2), tokens(3));
  EXPECT_LT(last.loss, 0.75 * first);
  EXPECT_EQ(last.step, 41);
  if (GetParam() == Family::kBitNet) {
    EXPECT_GT(last.zeros, 0.2);
    EXPECT_LT(last.zeros, 0.5);
    EXPECT_GT(last.flips, 0.0);
  }
}

// The norms of the parts of the model make up the whole gradient's, and the scales' drift is that of the scales.
TEST_P(TrainerTest, ReportsLayersAndScales) {
  Trainer trainer(Model::random(small(GetParam()), 1), options(4));
  const auto scale = [&](size_t layer) {
    return static_cast<double>(trainer.model().weights().layers[layer][Projection::kUp].scale);
  };
  const double before[] = {scale(0), scale(1)};
  const StepReport report = trainer.step(tokens(2), tokens(3));
  ASSERT_EQ(report.layer_norms.size(), 4U);  // embedding, two layers, the last norm
  double squares = 0;
  for (const double norm : report.layer_norms) squares += norm * norm;
  EXPECT_NEAR(std::sqrt(squares), report.gradient_norm, 1e-9 * report.gradient_norm);
  if (GetParam() == Family::kLlama) {
    EXPECT_EQ(report.scale_drift, 0.0);
  } else {
    const double some =
        (std::abs(scale(0) / before[0] - 1) + std::abs(scale(1) / before[1] - 1)) / 2;
    EXPECT_GT(report.scale_drift, 0.2 * some);
    EXPECT_LT(report.scale_drift, 5 * some);
  }
}

TEST_P(TrainerTest, StateRoundTrips) {
  const Path directory = test_folder() / "trainer_state";
  std::filesystem::create_directories(directory);
  Trainer trainer(Model::random(small(GetParam()), 1), options(4));
  for (uint64_t step = 0; step < 2; ++step) trainer.step(tokens(step), tokens(step + 10));
  trainer.save_state(directory);
  write_hf_model(directory, trainer.model(), nullptr);
  Trainer resumed(Model::open_masters(directory), options(4));
  resumed.load_state(directory);
  EXPECT_EQ(resumed.steps_done(), 2);
  const StepReport a = trainer.step(tokens(5), tokens(6)), b = resumed.step(tokens(5), tokens(6));
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.flips, b.flips);
  EXPECT_TRUE(std::ranges::equal(trainer.model().masters(), resumed.model().masters()));
}

INSTANTIATE_TEST_SUITE_P(Families, TrainerTest,
                         testing::Values(Family::kBitNet, Family::kBitNetPaper, Family::kBinary,
                                         Family::kLlama));

TEST(Trainer, StopsBeforeAnUpdateThatIsNotFinite) {
  Trainer trainer(Model::random(small(Family::kLlama), 1), options(4));
  trainer.model().masters()[0] = std::numeric_limits<float>::infinity();
  std::vector<int32_t> ids(64, 0);
  try {
    trainer.step(ids, ids);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("step 1"), std::string::npos);
    EXPECT_EQ(error.code(), ExitCode::kFailure);
  }
  EXPECT_EQ(trainer.steps_done(), 0);
}

}  // namespace
}  // namespace trit
