#pragma once
// Timed loops on threads that begin together, without the program's thread pool: what is measured is the
// machine and one piece of code, not how work is handed out.

#include <cstdint>
#include <functional>
#include <vector>

namespace trit::bench {

// Runs body(thread) for thread 0 to threads - 1, each on a thread of its own that is bound to a CPU (one of
// every core first, as far as this process may run there). Returns the seconds from the moment when all of them
// run to the last end.
double run_together(int threads, const std::function<void(int)>& body);

// How long and how often a thing is measured.
struct Timing {
  double sample_seconds = 0.05;
  int samples = 7;
};

// Seconds that one round of loop(thread, rounds) takes, `timing.samples` times, after a warm-up in which the
// number of rounds is found that fills a sample.
std::vector<double> seconds_per_round(int threads, const Timing& timing,
                                      const std::function<void(int, int64_t)>& loop);

}  // namespace trit::bench
