#include "bench/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/huge_buffer.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "bench/memory.h"
#include "bench/peaks.h"
#include "bench/read_loops.h"
#include "bench/together.h"

namespace trit::bench {
namespace {

// The first one is for the caches of a core, the first two are for the shared one and, when it must be quick,
// for DRAM.
constexpr ReadPattern kPatterns[] = {{"1 stream", 1, 0},
                                     {"4 streams, prefetch", 4, 1024},
                                     {"4 streams", 4, 0},
                                     {"1 stream, prefetch", 1, 4096}};
constexpr int64_t kPage = 4096;

// Time is given to all measurements alike.
constexpr double kSeconds = 12, kQuickSeconds = 0.6;
constexpr int64_t kMostSpins = 10'000'000;  // of a thread that waits for one that never comes
constexpr int kSamples = 7, kQuickSamples = 3;
// Larger than the shared caches of today, of which a virtual machine has a part only.
constexpr int64_t kDramBytes = int64_t{1} << 30, kQuickDramBytes = kDramBytes * 3 / 4;

// One working set: bytes of each thread.
struct WorkingSet {
  const char* level;
  int64_t bytes_each;
  std::span<const ReadPattern> patterns;
};

// Values that are not zero. Each thread fills what it reads, so that the memory lies near it.
void fill(uint8_t* data, int64_t bytes) {
  for (int64_t i = 0; i + 8 <= bytes; i += 8) {
    const uint64_t value = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15 | 1;
    std::memcpy(data + i, &value, sizeof value);
  }
}

class Measurer {
 public:
  explicit Measurer(const MachineOptions& options) : options_(options) {
    if (options_.threads.empty()) options_.threads = {1, thread_count()};
    std::ranges::sort(options_.threads);
    // Not std::ranges: clang 14 cannot read libstdc++'s subranges.
    options_.threads.erase(std::unique(options_.threads.begin(), options_.threads.end()),
                           options_.threads.end());
    if (options_.dram_bytes == 0) options_.dram_bytes = dram_working_set(quick());
    machine_.cpu = cpu_name();
    machine_.cpus = available_cpus();
    machine_.caches = cache_sizes();
  }

  Machine measure() {
    const Timer timer;
    plan();
    for (const int threads : options_.threads) {
      for (const Peak& peak : peaks_) measure_peak(peak, threads);
      for (const WorkingSet& set : working_sets(threads)) measure_reads(set, threads);
      if (threads > 1 && !options_.limits_only) measure_barrier(threads);
    }
    std::ranges::stable_sort(machine_.rates, {}, &MachineRate::measure);
    machine_.seconds = timer.seconds();
    return std::move(machine_);
  }

 private:
  bool quick() const { return options_.quick || options_.limits_only; }

  // Which peaks run here, and how long a measurement may take.
  void plan() {
    for (const Peak& peak : peaks()) {
      if (options_.limits_only && peak.measure == Measure::kLookUp) continue;
      if (peak.runs()) {
        peaks_.push_back(peak);
      } else {
        machine_.not_measured.push_back(
            {peak.name, fmt::format("this machine has no {}", peak.needs)});
      }
    }
    if (peaks().empty()) {
      machine_.not_measured.push_back(
          {"peaks of computation", "no instruction of this architecture is known"});
    }
    for (const int threads : options_.threads) {
      total_ += static_cast<int64_t>(peaks_.size());
      for (const WorkingSet& set : working_sets(threads))
        total_ += static_cast<int64_t>(set.patterns.size());
      if (threads > 1 && !options_.limits_only) ++total_;
    }
    timing_.samples = quick() ? kQuickSamples : kSamples;
    const double each = (quick() ? kQuickSeconds : kSeconds) / static_cast<double>(total_);
    timing_.sample_seconds = std::clamp(each / (timing_.samples + 2), 0.001, 0.06);
  }

  std::vector<WorkingSet> working_sets(int threads) {
    std::vector<WorkingSet> sets;
    const CacheSizes& c = machine_.caches;
    const std::span<const ReadPattern> all(kPatterns), one = all.first(1), two = all.first(2);
    // Half of a cache of its own; of the shared one as much as does not fit in the L2 caches four times over.
    const int64_t l3 = 4 * c.l2;
    if (!options_.limits_only) {
      if (c.l1 > 0) sets.push_back({"L1", c.l1 / 2 / kPage * kPage, one});
      if (c.l2 > 0) sets.push_back({"L2", c.l2 / 2 / kPage * kPage, one});
      if (c.l3 > 0 && l3 * threads <= c.l3 * 3 / 4) {
        sets.push_back({"L3", l3 / kPage * kPage, two});
      } else {
        not_measured("read L3", c.l3 == 0 ? "the system knows of no such cache"
                                          : "it is no larger than the L2 caches together");
      }
    }
    sets.push_back({"DRAM", options_.dram_bytes / threads / kPage * kPage, quick() ? two : all});
    return sets;
  }

  void not_measured(const char* name, const char* why) {
    const auto same = [&](const NotMeasured& row) { return row.name == name; };
    if (std::ranges::none_of(machine_.not_measured, same))
      machine_.not_measured.push_back({name, why});
  }

  void tell(const std::string& what) {
    if (options_.progress) options_.progress(done_, total_, what);
    ++done_;
  }

  void measure_peak(const Peak& peak, int threads) {
    tell(fmt::format("{}, {} thread(s)", peak.name, threads));
    const auto times =
        seconds_per_round(threads, timing_, [&](int, int64_t rounds) { peak.loop(rounds); });
    machine_.rates.push_back(
        {peak.measure, peak.name, peak.needs, 0, threads, rates(peak.work * threads / 1e9, times)});
  }

  void measure_reads(const WorkingSet& set, int threads) {
    const ReadLoop read = best_read_loop();
    const int64_t bytes = set.bytes_each * threads;
    const HugeBuffer memory(static_cast<size_t>(bytes));
    const auto part = [&](int thread) { return memory.data() + thread * set.bytes_each; };
    run_together(threads, [&](int t) { fill(part(t), set.bytes_each); });
    for (const ReadPattern& pattern : set.patterns) {
      tell(fmt::format("read {}, {}, {} thread(s)", set.level, pattern.name, threads));
      const auto times = seconds_per_round(threads, timing_, [&](int thread, int64_t rounds) {
        read(part(thread), set.bytes_each, rounds, pattern);
      });
      machine_.rates.push_back({Measure::kRead, set.level, std::string(pattern.name), bytes,
                                threads, rates(static_cast<double>(bytes) / 1e9, times)});
    }
  }

  void measure_barrier(int threads) {
    tell(fmt::format("thread pool, {} threads", threads));
    const int before = thread_count();
    set_thread_count(threads);
    std::atomic<int64_t> arrived = 0;
    const auto loops = [&](int64_t count) {
      arrived = 0;
      const Timer timer;
      for (int64_t i = 0; i < count; ++i) {
        // Every thread must come: a caller whose helpers are late would do the empty work alone.
        const int64_t all = (i + 1) * threads;
        parallel_for(threads, [&](int64_t) {
          ++arrived;
          for (int64_t spin = 0; arrived < all && spin < kMostSpins; ++spin) {
          }
        });
      }
      return timer.seconds() / static_cast<double>(count);
    };
    const auto count = std::clamp<int64_t>(
        static_cast<int64_t>(timing_.sample_seconds / std::max(loops(100), 1e-8)), 20, 1'000'000);
    std::vector<double> microseconds;
    for (int i = 0; i < timing_.samples; ++i) microseconds.push_back(1e6 * loops(count));
    set_thread_count(before);
    machine_.rates.push_back({Measure::kBarrier, "parallel_for", "thread pool, start to end", 0,
                              threads, statistics(microseconds)});
  }

  MachineOptions options_;
  Machine machine_;
  Timing timing_;
  std::vector<Peak> peaks_;
  int64_t done_ = 0, total_ = 0;
};

// Whether kernels of an instruction set may use an instruction that needs another (Peak::needs).
bool uses(kernels::Isa isa, std::string_view needs) {
  using enum kernels::Isa;
  if (isa == kScalar) return false;
  if (needs == "avx2") return true;
  if (needs == "avxvnni") return isa == kAvxVnni;
  if (needs == "amx-int8") return isa == kAmx;
  if (needs == "neon") return isa >= kNeon;
  if (needs == "dotprod") return isa >= kDotprod;
  if (needs == "i8mm") return isa == kI8mm;
  if (needs == "avx512vbmi") return isa >= kAvx512Vbmi;
  return needs.starts_with("avx512") && isa >= kAvx512Vnni;
}

}  // namespace

std::string_view to_string(Measure measure) {
  constexpr std::string_view kNames[] = {"read", "int8", "float32", "look-up", "barrier"};
  return kNames[static_cast<size_t>(measure)];
}

std::string_view unit(Measure measure) {
  constexpr std::string_view kUnits[] = {"GB/s", "GMAC/s", "GMAC/s", "G/s", "us"};
  return kUnits[static_cast<size_t>(measure)];
}

double Machine::read_limit(std::string_view level, int threads) const {
  double best = 0;
  for (const MachineRate& r : rates) {
    if (r.measure == Measure::kRead && r.name == level && r.threads == threads)
      best = std::max(best, r.value.median);
  }
  return best;
}

double Machine::peak(Measure measure, int threads) const {
  double best = 0;
  for (const MachineRate& r : rates) {
    if (r.measure == measure && r.threads == threads) best = std::max(best, r.value.median);
  }
  return best;
}

double Machine::peak(Measure measure, int threads, kernels::Isa isa) const {
  const MachineRate* row = best(measure, threads, isa);
  return row == nullptr ? 0 : row->value.median;
}

const MachineRate* Machine::best(Measure measure, int threads, kernels::Isa isa,
                                 std::string_view beginning) const {
  const MachineRate* found = nullptr;
  for (const MachineRate& r : rates) {
    if (r.measure != measure || r.threads != threads || !uses(isa, r.how)) continue;
    if (!r.name.starts_with(beginning)) continue;
    if (found == nullptr || r.value.median > found->value.median) found = &r;
  }
  return found;
}

int64_t dram_working_set(bool quick) {
  return std::min(quick ? kQuickDramBytes : kDramBytes, available_memory() / 2);
}

Machine measure_machine(const MachineOptions& options) { return Measurer(options).measure(); }

std::vector<OrderedJson> rows_of(const Machine& machine) {
  std::vector<OrderedJson> rows;
  for (const MachineRate& r : machine.rates) {
    const std::string detail =
        r.bytes > 0 ? fmt::format("{}, {}", binary_bytes(r.bytes), r.how) : r.how;
    rows.push_back({{"test", fmt::format("{} {}", to_string(r.measure), r.name)},
                    {"detail", detail},
                    {"threads", r.threads},
                    {"median", r.value.median},
                    {"spread", r.value.spread},
                    {"least", r.value.least},
                    {"largest", r.value.largest},
                    {"samples", r.value.samples},
                    {"bytes", r.bytes},
                    {"unit", unit(r.measure)}});
  }
  return rows;
}

OrderedJson to_json(const Machine& machine) {
  OrderedJson not_measured = OrderedJson::array();
  for (const NotMeasured& row : machine.not_measured)
    not_measured.push_back({{"test", row.name}, {"why", row.why}});
  return {{"machine",
           {{"cpu", machine.cpu},
            {"cpus", machine.cpus},
            {"l1_bytes", machine.caches.l1},
            {"l2_bytes", machine.caches.l2},
            {"l3_bytes", machine.caches.l3}}},
          {"rates", rows_of(machine)},
          {"not_measured", not_measured},
          {"seconds", machine.seconds}};
}

}  // namespace trit::bench
