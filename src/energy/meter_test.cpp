#include "energy/meter.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "energy/nvml.h"

namespace trit {
namespace {

// 100 W, counted in steps of 0.1 s: 10 J each.
class SteppingMeter : public EnergyMeter {
 public:
  explicit SteppingMeter(const double& clock) : clock_(clock) {}
  double joules() override {
    ++reads;
    return 10 * std::floor(clock_ / 0.1 + 1e-9);
  }
  int reads = 0;

 private:
  const double& clock_;
};

// A step takes 16 ms. The meter is seen to move after step 7 (0.112 s, 10 J). Half a second is over after step 39 (0.624 s, 60
// J), and the next move is seen after step 44 (0.704 s, 70 J).
TEST(Meter, CountsWholeMovesOfTheMeter) {
  double clock = 0;
  SteppingMeter meter(clock);
  const MeteredWork work = metered(
      meter, 0.5, [&] { clock += 0.016; }, [&] { return clock; });
  EXPECT_EQ(work.steps, 44 - 7);
  EXPECT_NEAR(work.seconds, 0.704 - 0.112, 1e-9);
  EXPECT_NEAR(work.joules, 70 - 10, 1e-9);
  EXPECT_NEAR(work.joules_per_step(), 60.0 / 37, 1e-9);
  EXPECT_NEAR(work.watts(), 60 / 0.592, 1e-9);
}

// At most 0.1 s of waiting at each end, a look every 5 ms.
TEST(Meter, IsReadAtTheEndsAlone) {
  double clock = 0;
  SteppingMeter meter(clock);
  const MeteredWork work = metered(
      meter, 1, [&] { clock += 0.0002; }, [&] { return clock; });
  EXPECT_NEAR(work.joules_per_step(), 100 * 0.0002, 0.0002);
  EXPECT_LE(meter.reads, 2 * 22);
}

TEST(Meter, ThatStandsStillIsRefused) {
  class Still : public EnergyMeter {
    double joules() override { return 5; }
  } still;
  double clock = 0;
  EXPECT_THROW(metered(
                   still, 1, [&] { clock += 0.1; }, [&] { return clock; }),
               Error);
}

// The meter's 100 W while resting and working alike: next to nothing is left of the 2 J of a step (moves are seen up to
// 5 ms late). At 250 W, 150 W are, 3 J in 0.02 s.
TEST(Meter, TakesIdlePowerOff) {
  double clock = 0;
  SteppingMeter meter(clock);
  const auto now = [&] { return clock; };
  const double idle = idle_watts(meter, 1, now, [&] { clock += 0.001; });
  EXPECT_NEAR(idle, 100, 1);
  const auto runs = metered_runs(
      meter, 3, 0.5, [&] { clock += 0.02; }, now);
  ASSERT_EQ(runs.size(), 3u);
  for (const MeteredWork& run : runs) EXPECT_NEAR(run.joules_per_step_above(idle), 0, 0.02);
  EXPECT_NEAR((MeteredWork{50, 0.2, 10}).joules_per_step_above(100), 3, 1e-9);
}

// A library of one device, at 00000000:5D:00.0.
int opened = 0;
unsigned long long counted = 0;
int init() { return ++opened, 0; }
int no_driver() { return 9; }
int shut() { return --opened, 0; }
int device_at(const char* bus, NvmlDevice* device) {
  *device = &opened;
  return std::string(bus) == "00000000:5D:00.0" ? 0 : 6;
}
int millijoules(NvmlDevice device, unsigned long long* energy) {
  *energy = counted;
  return device == &opened ? 0 : 2;
}
const char* text(int code) { return code == 9 ? "Driver Not Loaded" : "Not Found"; }
constexpr NvmlCalls kCalls{init, shut, device_at, millijoules, text};

TEST(Nvml, GivesJoules) {
  std::string why;
  counted = 1234567;
  {
    const auto meter = nvidia_meter(kCalls, "00000000:5D:00.0", why);
    ASSERT_NE(meter, nullptr) << why;
    EXPECT_DOUBLE_EQ(meter->joules(), 1234.567);
    EXPECT_EQ(opened, 1);
  }
  EXPECT_EQ(opened, 0);
}

TEST(Nvml, SaysWhyThereIsNoMeter) {
  std::string why;
  EXPECT_EQ(nvidia_meter(kCalls, "00000000:01:00.0", why), nullptr);
  EXPECT_EQ(why, "NVML: Not Found");
  EXPECT_EQ(opened, 0);
  NvmlCalls without = kCalls;
  without.init = no_driver;
  EXPECT_EQ(nvidia_meter(without, "00000000:5D:00.0", why), nullptr);
  EXPECT_EQ(why, "NVML: Driver Not Loaded");
}

}  // namespace
}  // namespace trit
