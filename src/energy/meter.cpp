#include "energy/meter.h"

#include "base/error.h"

namespace trit {

MeteredWork metered(EnergyMeter& meter, double seconds, const std::function<void()>& step,
                    const std::function<double()>& now, double between) {
  constexpr double kPatience = 5;
  int64_t steps = 0;
  const auto run_until = [&](double end) {
    do {
      step();
      ++steps;
    } while (now() < end);
  };
  // Steps until the meter moves; what it shows then.
  const auto next_move = [&] {
    const double before = meter.joules(), end = now() + kPatience;
    while (now() < end) {
      run_until(now() + between);
      if (const double joules = meter.joules(); joules != before) return joules;
    }
    failure("the energy meter stands at {:.1f} J and does not move", before);
  };
  const double first = next_move(), start = now();
  steps = 0;
  run_until(start + seconds);
  const double last = next_move();
  return {last - first, now() - start, steps};
}

}  // namespace trit
