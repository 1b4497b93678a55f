#include "bench/together.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "base/cpu_count.h"
#include "base/timer.h"

namespace trit::bench {
namespace {

constexpr int kMostSpins = 1'000'000;  // with fewer CPUs than threads the others never come

// CPUs that this process may run on, those that share a core with an earlier one last.
std::vector<int> cpus_to_use() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  const std::vector<int> cores = core_cpus(cpus, [](int cpu) {
    std::string siblings;
    std::getline(std::ifstream(fmt::format(
                     "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu)),
                 siblings);
    return siblings;
  });
  std::stable_partition(cpus.begin(), cpus.end(),
                        [&](int cpu) { return std::ranges::find(cores, cpu) != cores.end(); });
  return cpus;
}

// Best effort: where it is refused, the thread runs where the system puts it.
void bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace

double run_together(int threads, const std::function<void(int)>& body) {
  static const std::vector<int> cpus = cpus_to_use();
  std::atomic<int> waiting = 0, running = 0;
  std::atomic<bool> started = false;
  std::vector<double> begun(static_cast<size_t>(threads)), ended(static_cast<size_t>(threads));
  const Timer timer;
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) {
    team.emplace_back([&, t] {
      if (!cpus.empty()) bind_to(cpus[static_cast<size_t>(t) % cpus.size()]);
      ++waiting;
      // Yields, because there may be more threads than CPUs.
      while (!started.load(std::memory_order_acquire)) std::this_thread::yield();
      // Then sees that all others run: the caller may still hold the CPU of one of them.
      ++running;
      for (int spin = 0; running.load(std::memory_order_acquire) < threads; ++spin) {
        if (spin > kMostSpins) std::this_thread::yield();
      }
      begun[static_cast<size_t>(t)] = timer.seconds();
      body(t);
      ended[static_cast<size_t>(t)] = timer.seconds();
    });
  }
  while (waiting < threads) std::this_thread::yield();
  started.store(true, std::memory_order_release);
  for (std::thread& member : team) member.join();
  return std::ranges::max(ended) - std::ranges::min(begun);
}

std::vector<double> seconds_per_round(int threads, const Timing& timing,
                                      const std::function<void(int, int64_t)>& loop) {
  const auto run = [&](int64_t rounds) {
    return run_together(threads, [&](int thread) { loop(thread, rounds); });
  };
  int64_t rounds = 1;
  double seconds = run(rounds);
  // Short runs say little: grow until one lasts a good part of a sample, and not because something else ran.
  const double enough = timing.sample_seconds / 4;
  if (seconds >= enough) seconds = std::min(seconds, run(rounds));
  while (seconds < enough && rounds < int64_t{1} << 40) {
    const double factor = timing.sample_seconds / 2 / std::max(seconds, 1e-6);
    rounds = static_cast<int64_t>(static_cast<double>(rounds) * std::clamp(factor, 2.0, 64.0));
    seconds = run(rounds);
    if (seconds >= enough) seconds = std::min(seconds, run(rounds));
  }
  const auto fit = [&](double took) {
    const double wanted = static_cast<double>(rounds) * timing.sample_seconds / took;
    rounds = std::max<int64_t>(1, static_cast<int64_t>(wanted));
  };
  fit(seconds);
  std::vector<double> samples;
  for (int attempt = 0; attempt < 3; ++attempt) {
    samples.clear();
    for (int i = 0; i < timing.samples; ++i)
      samples.push_back(run(rounds) / static_cast<double>(rounds));
    // Much shorter than meant: something else ran while the number of rounds was sought.
    const double fastest = std::ranges::min(samples) * static_cast<double>(rounds);
    if (fastest >= enough) break;
    fit(std::max(fastest, 1e-7));
  }
  return samples;
}

}  // namespace trit::bench
