#include "train/schedule.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

// The 700M run of the published plot, 1.5e-3 -> 1e-3 over 100,000 steps. By hand, at step 49,999:
// 3e-5 + 1.47e-3 (1 - 49624 / 99625); at 50,000: 3e-5 + 0.97e-3 (1 - 49625 / 99625).
TEST(Schedule, MeetsThePublishedCurve) {
  const Schedule s;
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 0.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 375), 1.5e-3);
  EXPECT_NEAR(learning_rate(s, 49'999), 7.677814e-4, 5e-10);
  EXPECT_NEAR(learning_rate(s, 50'000), 5.168256e-4, 5e-10);
  EXPECT_NEAR(learning_rate(s, 100'000), 3e-5, 1e-12);
  EXPECT_NEAR(learning_rate(s, 187), 1.5e-3 * 187 / 375, 1e-12);
}

TEST(Schedule, WeightDecayEndsAtHalfWay) {
  const Schedule s;
  EXPECT_EQ(weight_decay(s, 1), 0.1);
  EXPECT_EQ(weight_decay(s, 49'999), 0.1);
  EXPECT_EQ(weight_decay(s, 50'000), 0.0);
}

TEST(Schedule, FamiliesHaveTheirPublishedRates) {
  Config config = preset("700M");
  EXPECT_EQ(default_schedule(config, 100'000).peak, 1.5e-3);
  EXPECT_EQ(default_schedule(config, 100'000).warmup, 375);
  EXPECT_EQ(default_schedule(preset("3B"), 100'000).second_peak, 8e-4);
  const Schedule llama = default_schedule(as_family(preset("1.3B"), Family::kLlama), 100'000);
  EXPECT_EQ(llama.peak, 2.0e-4);
  EXPECT_EQ(llama.second_peak, 2.0e-4);
  EXPECT_EQ(weight_decay(llama, 99'999), 0.1);
}

}  // namespace
}  // namespace trit
