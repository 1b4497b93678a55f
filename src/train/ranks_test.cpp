// Data parallel training on ranks that are threads: the same steps as one rank takes.

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "base/test_folder.h"
#include "base/test_ranks.h"
#include "train/trainer.h"

namespace trit {
namespace {

constexpr int64_t kLength = 16, kSequences = 8;

// Wide enough that matrices are cut between ranks, not only between tensors.
Config shape(Family family) {
  Config c = preset("nano");
  c.vocabulary = 90;
  c.layers = 2;
  c.hidden = 96;
  c.heads = c.kv_heads = 3;
  c.head_dim = 32;
  c.ffn = 200;
  return as_family(c, family);
}

TrainerOptions options(int64_t parts) {
  TrainerOptions o;
  o.sequences = kSequences;
  o.parts = parts;
  o.micro_sequences = 1;
  o.sequence_length = kLength;
  o.schedule = {100, 0, 5e-3, 5e-3, 1e-3, 0.1, 0.1};
  return o;
}

std::vector<int32_t> tokens(uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids(kSequences * kLength);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(90));
  return ids;
}

std::span<const int32_t> share_of_step(std::span<const int32_t> all, const Collectives& job) {
  const size_t mine = all.size() / static_cast<size_t>(job.size());
  return all.subspan(mine * static_cast<size_t>(job.rank()), mine);
}

struct Course {
  std::vector<double> losses, norms, zeros, flips, held_out;
  std::vector<float> masters;
  bool operator==(const Course&) const = default;
};

// Four steps; saves after the second and goes on from there with `then` ranks.
Course trained(Family family, int ranks, int then, int64_t parts) {
  const Path folder = test_folder() / fmt::format("ranks_{}_{}_{}", ranks, then, parts);
  std::filesystem::create_directories(folder);
  Course run;
  const auto steps = [&](Trainer& trainer, Collectives& job, uint64_t first) {
    for (uint64_t step = first; step < first + 2; ++step) {
      const auto inputs = tokens(step), targets = tokens(step + 100);
      const StepReport report =
          trainer.step(share_of_step(inputs, job), share_of_step(targets, job));
      const double held_out = trainer.held_out_loss(std::span(inputs).first(77), kLength);
      if (job.rank() > 0) continue;
      run.losses.push_back(report.loss);
      run.norms.push_back(report.gradient_norm);
      run.zeros.push_back(report.zeros);
      run.flips.push_back(report.flips);
      run.held_out.push_back(static_cast<float>(held_out));
    }
  };
  run_ranks(ranks, [&](Collectives& job) {
    Trainer trainer(Model::random(shape(family), 1), options(parts), &job);
    steps(trainer, job, 0);
    const Model& model = trainer.current_model();
    if (job.rank() == 0) write_hf_model(folder, model, nullptr);
    trainer.save_state(folder);
  });
  run_ranks(then, [&](Collectives& job) {
    Trainer trainer(Model::open_masters(folder), options(parts), &job);
    trainer.load_state(folder);
    EXPECT_EQ(trainer.steps_done(), 2);
    steps(trainer, job, 2);
    const Model& model = trainer.current_model();
    if (job.rank() == 0) run.masters.assign(model.masters().begin(), model.masters().end());
  });
  return run;
}

class RanksTest : public testing::TestWithParam<Family> {};

TEST_P(RanksTest, TakeTheStepsOfOneBitForBit) {
  const Course one = trained(GetParam(), 1, 1, 4);
  EXPECT_EQ(one.losses.size(), 4U);
  EXPECT_EQ(one.flips[1] > 0, GetParam() != Family::kLlama);
  for (const auto& [ranks, then] : {std::pair{2, 2}, {4, 4}, {2, 4}, {4, 1}})
    EXPECT_TRUE(trained(GetParam(), ranks, then, 4) == one) << ranks << " ranks, then " << then;
}

// Eight parts on one rank, one for each of eight; ranks that are no power of two differ by rounding.
TEST_P(RanksTest, OfAnyNumberGiveTheSameLosses) {
  const Course one = trained(GetParam(), 1, 1, 8), eight = trained(GetParam(), 8, 8, 8);
  EXPECT_TRUE(one == eight);
  const Course whole = trained(GetParam(), 1, 1, 1);
  ASSERT_EQ(whole.losses.size(), one.losses.size());
  for (size_t i = 0; i < one.losses.size(); ++i) EXPECT_NEAR(one.losses[i], whole.losses[i], 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Families, RanksTest,
                         testing::Values(Family::kBitNet, Family::kBitNetPaper, Family::kBinary,
                                         Family::kLlama),
                         [](const auto& param) {
                           std::string name(to_string(param.param));
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace trit
