#pragma once
// Measured energy: what meters of the machine count, as they count it. Idle power is part of it.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

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
};

// Repeats `step` for at least `seconds`, from one move of the meter to another, so that what is counted and what is done
// are the same span of time. Reading may take milliseconds (NVML's does), so it is read while a move is awaited at both
// ends, every `between` seconds at most, and not meanwhile. Throws Error when no move comes for 5 s. `now` gives seconds; it is
// the clock.
MeteredWork metered(EnergyMeter& meter, double seconds, const std::function<void()>& step,
                    const std::function<double()>& now, double between = 0.005);

// The meter of the NVIDIA device at this place on the PCI bus ("00000000:5D:00.0"), by the driver's libnvidia-ml.so.1.
// Null when there is none, and `why` then says so in a few words.
std::unique_ptr<EnergyMeter> nvidia_meter(const std::string& bus, std::string& why);

}  // namespace trit
