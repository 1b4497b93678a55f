#pragma once
// The rows of kernels.h at work as inference gives it to them: weights or cached keys and values taken piece
// by piece by each thread from its part of a memory, and rows of floats that stay in a core's cache.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "bench/machine.h"
#include "bench/working_memory.h"
#include "kernels/kernels.h"

namespace trit::bench {

// Where what is read comes from: memory, the cache that cores share, or a core's own second one.
enum class Source : uint8_t { kMemory, kL3, kCache };
std::string_view to_string(Source source);  // "memory", "L3", "cache"

enum class KernelKind : uint8_t {
  kTiles,      // products of ternary tiles, with the tables that they are made by
  kTernary,    // products of the canonical packing
  kDense,      // products of output heads
  kAttention,  // one token's queries against a cache
  kRow,        // of floats, as long as a layer is wide
  kHeadRow,    // as long as an attention head
  kLogits,     // as long as the vocabulary
};

struct KernelInfo {
  std::string name;  // as in kernels.h; of kernels/kv.h: attention_f16, kv_store_f16, ...
  KernelKind kind;
};
// In the order of kernels.h.
std::span<const KernelInfo> kernel_list();

struct KernelTest {
  KernelInfo kernel;
  int64_t outputs = 0, inputs = 0;             // of a product
  int64_t length = 0;                          // of a row
  int64_t kv_heads = 0, group = 0, depth = 0;  // of attention; its head_dim is `length`
  int64_t batch = 1;                           // rows of activations
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  Source source = Source::kCache;

  std::string shape() const;  // "6912x2560", "3200", "4 x 5 heads of 128, 4096 deep"
  std::string name() const;   // "base3_gemm_i8 6912x2560 x 16, avx512vnni, 2 threads, memory"
};

struct Work {
  std::function<void(int thread, int64_t rounds)> run;
  // Of one round of all threads: how often the test's work is done, and what it reads (of products the packed
  // weights, of attention keys and values) and multiplies.
  double calls = 0, bytes = 0, macs = 0;
  int64_t resident = 0;                    // bytes of a thread that are read over and over
  Measure arithmetic = Measure::kFloat32;  // what its products are made by
};

// Why it cannot be measured, or "".
std::string hindrance(const KernelTest& test);
// `memory` is of test.threads threads and is filled with what the kernel reads; each thread keeps to `most`
// bytes of it. The work refers to it.
Work make_work(const KernelTest& test, WorkingMemory& memory, int64_t most);

// Of make_work: one for each group of kinds.
Work product_work(const KernelTest& test, WorkingMemory& memory, int64_t most);
Work attention_work(const KernelTest& test, WorkingMemory& memory, int64_t most);
Work row_work(const KernelTest& test);
// Names of the kernels of kRow, kHeadRow and kLogits.
std::vector<KernelInfo> row_kernels();

}  // namespace trit::bench
