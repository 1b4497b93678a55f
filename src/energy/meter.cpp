#include "energy/meter.h"

#include <chrono>
#include <thread>

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

std::vector<MeteredWork> metered_runs(EnergyMeter& meter, int runs, double seconds_each,
                                      const std::function<void()>& step,
                                      const std::function<double()>& now) {
  std::vector<MeteredWork> all;
  for (int i = 0; i < runs; ++i) all.push_back(metered(meter, seconds_each, step, now));
  return all;
}

double idle_watts(EnergyMeter& meter, double seconds, const std::function<double()>& now,
                  const std::function<void()>& rest) {
  const auto sleep = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  return metered(meter, seconds, rest ? rest : sleep, now).watts();
}

}  // namespace trit
