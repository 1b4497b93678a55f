#include "bench/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "bench/together.h"

namespace trit::bench {
namespace {

constexpr Timing kTiming{0.02, 5}, kQuickTiming{0.004, 3};
constexpr int64_t kUnknownL2 = 512 << 10;
constexpr double kMacsOfALookUp = 320.0 / 128;  // two look-ups of 64 bytes for 64 rows of 5 inputs
constexpr int64_t kRowsWithoutTiles = 3;        // of AMX, which multiplies them as AVX-512 does

// Of a thread, as bench/machine.cpp has them for reading.
int64_t working_set(Source source) {
  if (source == Source::kMemory) return INT64_MAX;
  const int64_t known = cache_sizes().l2, l2 = known > 0 ? known : kUnknownL2;
  return source == Source::kL3 ? 4 * l2 : l2 / 2;
}

// Of all threads.
int64_t memory_bytes(const KernelBenchOptions& options, int threads) {
  int64_t bytes = 0;
  for (const Source source : options.sources) {
    if (source != Source::kMemory) {
      bytes = std::max(bytes, threads * working_set(source));
    } else if (options.memory_bytes > 0) {
      bytes = std::max(bytes, options.memory_bytes);
    } else {
      bytes = std::max(bytes, dram_working_set(options.quick));
    }
  }
  return bytes;
}

KernelResult measure(const KernelTest& test, WorkingMemory& memory, const Timing& timing) {
  const Work work = make_work(test, memory, working_set(test.source));
  KernelResult result{test, {}, {}, work.bytes / work.calls, work.macs / work.calls};
  for (const double seconds : seconds_per_round(test.threads, timing, work.run))
    result.samples.push_back(1e6 * seconds / work.calls);
  result.microseconds = statistics(result.samples);
  result.resident = work.resident;
  result.arithmetic = work.arithmetic;
  return result;
}

// The nearest level that holds what the kernel reads over and over.
std::string_view level_of(const KernelResult& result, const CacheSizes& caches) {
  if (result.test.source == Source::kMemory) return "DRAM";
  if (result.test.source == Source::kL3) return "L3";
  if (result.resident <= caches.l1) return "L1";
  return result.resident <= caches.l2 || caches.l2 == 0 ? "L2" : "L3";
}

const MachineRate* arithmetic_of(const KernelResult& result, const Machine& machine) {
  const KernelTest& test = result.test;
  const bool small = test.isa == kernels::Isa::kAmx && test.batch <= kRowsWithoutTiles;
  const kernels::Isa isa = small ? kernels::Isa::kAvx512Vbmi : test.isa;
  const bool looks_up = result.arithmetic == Measure::kLookUp;
  return machine.best(result.arithmetic, test.threads, isa, looks_up ? "vpermi2b" : "");
}

OrderedJson or_null(double value) { return value > 0 ? OrderedJson(value) : OrderedJson(nullptr); }

}  // namespace

KernelReport bench_kernels(const KernelBenchOptions& options) {
  const std::vector<KernelTest> tests = plan_kernels(options);
  KernelReport report;
  std::unique_ptr<WorkingMemory> memory;
  int64_t done = 0;
  for (const KernelTest& test : tests) {
    if (options.progress) options.progress(done++, static_cast<int64_t>(tests.size()), test.name());
    if (const std::string why = hindrance(test); !why.empty()) {
      report.not_measured.push_back({test.name(), why});
      continue;
    }
    if (memory == nullptr || memory->threads() != test.threads) {
      memory.reset();  // first, so that there are not two of them
      memory = std::make_unique<WorkingMemory>(test.threads, memory_bytes(options, test.threads));
    }
    report.results.push_back(measure(test, *memory, options.quick ? kQuickTiming : kTiming));
  }
  return report;
}

KernelLimit limit_of(const KernelResult& result, const Machine& machine) {
  const std::string_view level = level_of(result, machine.caches);
  const double read = machine.read_limit(level, result.test.threads);
  KernelLimit limit;
  if (read > 0) limit = {std::string(level), result.gb_per_s() / read};
  const MachineRate* arithmetic = result.macs > 0 ? arithmetic_of(result, machine) : nullptr;
  if (arithmetic == nullptr) return limit;
  const double per_operation = result.arithmetic == Measure::kLookUp ? kMacsOfALookUp : 1;
  const double share = result.gmac_per_s() / (per_operation * arithmetic->value.median);
  if (share > limit.share) limit = {arithmetic->name, share};
  return limit;
}

std::vector<OrderedJson> rows_of(const KernelReport& report, const Machine& machine) {
  std::vector<OrderedJson> rows;
  for (const KernelResult& r : report.results) {
    const KernelTest& t = r.test;
    const KernelLimit limit = limit_of(r, machine);
    rows.push_back({{"kernel", t.kernel.name},
                    {"shape", t.shape()},
                    {"batch", t.batch},
                    {"isa", kernels::to_string(t.isa)},
                    {"n_threads", t.threads},
                    {"source", to_string(t.source)},
                    {"median_us", r.microseconds.median},
                    {"spread_us", r.microseconds.spread},
                    {"gb_per_s", r.gb_per_s()},
                    {"gmac_per_s", or_null(r.gmac_per_s())},
                    {"limit", limit.share > 0 ? OrderedJson(limit.name) : OrderedJson(nullptr)},
                    {"limit_share", or_null(limit.share)},
                    {"bytes", r.bytes},
                    {"macs", r.macs},
                    {"samples_us", r.samples}});
  }
  return rows;
}

OrderedJson to_json(const KernelReport& report, const Machine& machine) {
  OrderedJson not_measured = OrderedJson::array();
  for (const NotMeasured& row : report.not_measured)
    not_measured.push_back({{"test", row.name}, {"why", row.why}});
  return {{"results", rows_of(report, machine)},
          {"not_measured", not_measured},
          {"limits", machine.rates.empty() ? OrderedJson(nullptr) : to_json(machine)}};
}

std::vector<PlotPoint> points_of(const KernelReport& report, int threads) {
  std::vector<PlotPoint> points;
  for (const KernelResult& r : report.results) {
    if (r.macs <= 0 || r.test.threads != threads) continue;
    points.push_back({r.test.name(),
                      fmt::format("{}, {}", r.test.kernel.name, kernels::to_string(r.test.isa)),
                      r.macs / r.bytes, r.gmac_per_s(), r.test.source != Source::kMemory});
  }
  return points;
}

}  // namespace trit::bench
