#pragma once
// Measured energy: what meters of the machine count. They count idle power too, which is measured by itself before the
// work and then taken off.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trit {

class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;
  // Since some moment in the past. Meters move on in steps (NVML's every 20 to 100 ms). Throws Error when it cannot
  // be read.
  virtual double joules() = 0;
};

struct MeteredWork {
  double joules = 0, seconds = 0;
  int64_t steps = 0;
  double joules_per_step() const { return joules / static_cast<double>(steps); }
  double watts() const { return joules / seconds; }
  // What the work took beyond a machine at rest that takes so many watts.
  double joules_per_step_above(double idle_watts) const {
    return (joules - idle_watts * seconds) / static_cast<double>(steps);
  }
};

// Repeats `step` for at least `seconds`, from one move of the meter to another, so that what is counted and what is done
// are the same span of time. Reading may take milliseconds (NVML's does), so it is read while a move is awaited at both
// ends, every `between` seconds at most, and not meanwhile. Throws Error when no move comes for 5 s. `now` gives seconds; it is
// the clock.
MeteredWork metered(EnergyMeter& meter, double seconds, const std::function<void()>& step,
                    const std::function<double()>& now, double between = 0.005);

// The same `runs` times, so that there is a spread to tell.
std::vector<MeteredWork> metered_runs(EnergyMeter& meter, int runs, double seconds_each,
                                      const std::function<void()>& step,
                                      const std::function<double()>& now);

// Watts while this process does nothing, over at least `seconds`: to be called before the work, when no thread of it waits
// awake. What else runs on the machine is in it, as it will be in what is measured afterwards. `rest` passes some
// milliseconds; by default it sleeps.
double idle_watts(EnergyMeter& meter, double seconds, const std::function<double()>& now,
                  const std::function<void()>& rest = {});

// The meter of the NVIDIA device at this place on the PCI bus ("00000000:5D:00.0"), by the driver's libnvidia-ml.so.1.
// Null when there is none, and `why` then says so in a few words.
std::unique_ptr<EnergyMeter> nvidia_meter(const std::string& bus, std::string& why);

}  // namespace trit
