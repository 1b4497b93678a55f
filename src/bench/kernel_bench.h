#pragma once
// What each kernel reaches of what the machine can do.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/kernel_work.h"
#include "bench/machine.h"
#include "bench/roofline_plot.h"

namespace trit::bench {

struct KernelBenchOptions {
  std::vector<std::string> only;    // kernels whose names begin so; empty: all
  std::vector<std::string> shapes;  // "3B" (model/config.h) or "6912x2560"; empty: 700M, 3B, 2B4T
  std::vector<int64_t> batches;     // empty: 1 to 512 for tiles, a few for the others
  std::vector<int64_t> depths = {4096};
  std::vector<std::string> isas;  // empty: the active one; "all"
  std::vector<int64_t> threads;   // empty: thread_count()
  std::vector<Source> sources = {Source::kMemory, Source::kCache};
  bool quick = false;  // the shapes of 2B4T alone, and a few milliseconds for each measurement
  int64_t memory_bytes = 0;  // that Source::kMemory walks through; 0: dram_working_set(quick)
  // Called before each measurement with what comes.
  std::function<void(int64_t done, int64_t total, const std::string& what)> progress;
};

struct KernelResult {
  KernelTest test;
  Statistics
      microseconds;  // of the test's work once; of rows each thread does one of its own meanwhile
  std::vector<double> samples;  // of them, in order
  double bytes = 0, macs = 0;   // as Work has them, of all threads in that time
  int64_t resident = 0;
  Measure arithmetic = Measure::kFloat32;

  double gb_per_s() const { return bytes / microseconds.median / 1e3; }
  double gmac_per_s() const { return macs / microseconds.median / 1e3; }
};

struct KernelReport {
  std::vector<KernelResult> results;
  std::vector<NotMeasured> not_measured;
};

// All combinations, in the order of kernel_list(). Throws Error naming what is unknown, and what there is.
std::vector<KernelTest> plan_kernels(const KernelBenchOptions& options);
KernelReport bench_kernels(const KernelBenchOptions& options);

// What holds a kernel back, as far as the machine's rates say: the one of memory and arithmetic that alone would
// take longer, and the share of the measured time that it would take. "" and 0 when neither was measured.
struct KernelLimit {
  std::string name;  // "DRAM", "L2", "vpdpbusd zmm"
  double share = 0;
};
KernelLimit limit_of(const KernelResult& result, const Machine& machine);

// One for each result; null where the machine's rates do not say.
std::vector<OrderedJson> rows_of(const KernelReport& report, const Machine& machine);
// {"results": rows_of(), "not_measured": [...], "limits": to_json(machine)}
OrderedJson to_json(const KernelReport& report, const Machine& machine);
// The products of `threads` threads.
std::vector<PlotPoint> points_of(const KernelReport& report, int threads);

}  // namespace trit::bench
