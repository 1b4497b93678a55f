#pragma once
// What this machine can do, measured: the limits that kernels and models are held against.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/statistics.h"
#include "kernels/kernels.h"

namespace trit::bench {

enum class Measure : uint8_t {
  kRead,     // bytes read per second from a level of memory
  kInt8,     // products of bytes, summed in int32 or int16
  kFloat32,  // multiply-adds of float32
  kLookUp,   // bytes looked up in a table in registers
  kBarrier,  // a loop handed to the thread pool in which all threads meet and do nothing else
};
std::string_view to_string(Measure measure);  // "read", "int8", "float32", "look-up", "barrier"
std::string_view unit(Measure measure);       // "GB/s", "GMAC/s", "GMAC/s", "G/s", "us"

struct MachineRate {
  Measure measure;
  std::string name;  // kRead: "L1", "L2", "L3", "DRAM"; else the instruction, "vpdpbusd zmm"
  std::string how;   // kRead: "4 streams, prefetch"; else what it needs, "avx512vnni"
  int64_t bytes;     // kRead: of all threads' working sets; else 0
  int threads;
  Statistics value;  // in unit(measure), of all threads together; kBarrier: microseconds a loop
};

struct NotMeasured {
  std::string name, why;
};

struct CacheSizes {
  int64_t l1 = 0, l2 = 0,
          l3 = 0;  // bytes: data cache and L2 of a core, the shared L3; 0 where unknown
};

struct Machine {
  std::string cpu;
  int cpus = 0;  // that this process may use
  CacheSizes caches;
  std::vector<MachineRate> rates;
  std::vector<NotMeasured> not_measured;
  double seconds = 0;  // that measuring took

  // The largest median over the access patterns; 0 when it was not measured for so many threads.
  double read_limit(std::string_view level, int threads) const;
  // Of the best instruction, or of the best that the kernels of this instruction set use (0 for scalar).
  double peak(Measure measure, int threads) const;
  double peak(Measure measure, int threads, kernels::Isa isa) const;
  // The row that peak() is of, or null. With `beginning` only names that begin so count.
  const MachineRate* best(Measure measure, int threads, kernels::Isa isa,
                          std::string_view beginning = "") const;
};

struct MachineOptions {
  std::vector<int> threads;  // empty: one and thread_count()
  bool quick = false;        // within 3 s instead of 20
  bool limits_only = false;  // DRAM and the int8 and float32 peaks alone
  int64_t dram_bytes = 0;    // working set of the DRAM rows; 0: 1 GiB, 768 MiB when quick
  // Called before each measurement with what comes.
  std::function<void(int64_t done, int64_t total, const std::string& what)> progress;
};

// `dram_bytes` when it is 0: as MachineOptions has it, but no more than half of the memory that is free.
int64_t dram_working_set(bool quick);

// Takes the whole machine: what else runs on it shows in the figures. Throws Error when there is not the
// memory for the working sets.
Machine measure_machine(const MachineOptions& options);

// One row for each rate: test, detail, threads, median, spread, least, largest, unit; bytes of reads.
std::vector<OrderedJson> rows_of(const Machine& machine);
// {"machine": {...}, "rates": rows_of(), "not_measured": [...]}.
OrderedJson to_json(const Machine& machine);
// "Intel ..., 2 CPUs, L1 48 KiB, L2 2.0 MiB, L3 480 MiB"
std::string describe(const Machine& machine);

// Read from the system; unknown sizes are 0.
std::string cpu_name();
CacheSizes cache_sizes();
// "812 B", "48 KiB", "1.5 MiB", "1 GiB"
std::string binary_bytes(int64_t bytes);

}  // namespace trit::bench
