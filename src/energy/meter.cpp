#include "energy/meter.h"

#include "base/error.h"

namespace trit {

MeteredWork metered(EnergyMeter& meter, double seconds, const std::function<void()>& step,
                    const std::function<double()>& now, double between) {
  constexpr double kPatience = 5;
  const double begin = now();
  double last_read = begin, last = meter.joules(), first = 0, start = 0;
  int64_t steps = 0;
  bool started = false;
  while (true) {
    step();
    ++steps;
    const double time = now();
    if (time - last_read >= between) {
      last_read = time;
      const double joules = meter.joules();
      if (joules != last) {
        if (started && time - start >= seconds) return {joules - first, time - start, steps};
        if (!started) {
          started = true;
          start = time;
          first = joules;
          steps = 0;
        }
        last = joules;
      }
    }
    if (time - begin > seconds + kPatience)
      failure("the energy meter stands at {:.1f} J and does not move", last);
  }
}

}  // namespace trit
