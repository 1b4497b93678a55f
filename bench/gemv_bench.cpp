// Products of tiles with few rows of activations beside plain reads of the same bytes: packed weights per
// second by form, instruction set, threads and working set (both caches, and memory in huge pages). Weights
// are those of layers of kColumns inputs, each thread reading its share of every layer's rows. Tables of
// base 3 are made anew for every layer, each thread making its share.
//
//   gemv_bench --benchmark_filter='DRAM.*avx512'

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/tensor.h"
#include "kernels/cpu/target.h"
#include "kernels/kernels.h"
#include "quant/tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trit {
namespace {

constexpr int64_t kRows = 3200, kColumns = 3200;

struct WorkingSet {
  const char* name;
  int64_t bytes;
  bool each;  // per thread
};
constexpr WorkingSet kSets[] = {
    {"L2", 1 << 20, true}, {"L3", 24 << 20, true}, {"DRAM", 800 << 20, false}};

// Bytes that are four codes 0 to 2, and at once a magnitude up to 121 and a sign.
const uint8_t* weights() {
  static const uint8_t* const bytes = [] {
    constexpr size_t kSize = 800 << 20;
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRIT_CHECK(memory != MAP_FAILED);
    madvise(memory, kSize, MADV_HUGEPAGE);
    auto* out = static_cast<uint8_t*>(memory);
    Rng rng(1);
    for (size_t i = 0; i < kSize; ++i) {
      if (i >= 1 << 20) {
        out[i] = out[i - (1 << 20)];
        continue;
      }
      for (int plane = 0; plane < 4; ++plane)
        out[i] = static_cast<uint8_t>(out[i] | rng.below(3) << (2 * plane));
    }
    return out;
  }();
  return bytes;
}

// Four streams and a prefetch, as the kernels do.
#if defined(__x86_64__)
TRIT_TARGET_BEGIN("avx512f")
void read_wide(const uint8_t* p, int64_t bytes) {
  const int64_t part = bytes / 4;
  for (int64_t i = 0; i + 64 <= part; i += 64) {
    for (int s = 0; s < 4; ++s) {
      const uint8_t* at = p + s * part + i;
      __builtin_prefetch(at + 3072);
      const __m512i value = _mm512_loadu_si512(at);
      asm volatile("" : : "v"(value));
    }
  }
}
TRIT_TARGET_END
#endif
void read_narrow(const uint8_t* p, int64_t bytes) {
  using Bytes16 = uint8_t __attribute__((vector_size(16), aligned(1)));
  const int64_t part = bytes / 4;
  Bytes16 all{};
  for (int64_t i = 0; i + 16 <= part; i += 16) {
    for (int s = 0; s < 4; ++s) {
      const uint8_t* at = p + s * part + i;
      __builtin_prefetch(at + 3072);
      all |= *reinterpret_cast<const Bytes16*>(at);
    }
  }
  benchmark::DoNotOptimize(all);
}

int64_t share_of(const WorkingSet& set, const benchmark::State& state) {
  return set.each ? set.bytes : set.bytes / state.threads();
}

void read(benchmark::State& state, const WorkingSet& set) {
  const int64_t bytes = share_of(set, state);
  const uint8_t* w = weights() + bytes * state.thread_index();
  auto read_bytes = read_narrow;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) read_bytes = read_wide;
#endif
  for (auto _ : state) read_bytes(w, bytes);
  state.SetBytesProcessed(state.iterations() * bytes);
}

// A thread's work on its share of the layers.
class Product {
 public:
  Product(const kernels::Table& kernel, TileForm form, int64_t threads)
      : kernel_(kernel),
        form_(form),
        blocks_(tile_blocks(form, kColumns)),
        layer_tiles_(row_tiles(form, kRows) / threads),
        table_blocks_(blocks_ / threads),
        x_(Buffer<int8_t>::zeros(static_cast<size_t>(activation_stride(kColumns)))),
        y_(static_cast<size_t>(kRows + 64)),
        tables_(Buffer<uint8_t>::zeros(static_cast<size_t>(blocks_ * kernel.base3_table_bytes))) {}

  void run(const uint8_t* w, int64_t tiles) {
    const int32_t sum = 0;
    for (int64_t done = 0; done < tiles; done += layer_tiles_) {
      const uint8_t* from = w + done * tile_bytes(form_, kColumns);
      const int64_t count = std::min(layer_tiles_, tiles - done);
      if (form_ == TileForm::kTwoBit) {
        kernel_.two_bit_gemm_i8(from, count, blocks_, x_.data(), kColumns, &sum, 1, y_.data(),
                                kRows);
      } else {
        const bool look_up = kernel_.base3_table_rows > 0;
        if (look_up) kernel_.base3_tables(x_.data(), table_blocks_, tables_.data());
        kernel_.base3_gemm_i8(from, count, blocks_, x_.data(), kColumns, &sum,
                              look_up ? tables_.data() : nullptr, 1, y_.data(), kRows);
      }
    }
    benchmark::DoNotOptimize(y_.data());
  }

 private:
  const kernels::Table& kernel_;
  TileForm form_;
  int64_t blocks_, layer_tiles_, table_blocks_;
  Buffer<int8_t> x_;
  Buffer<int32_t> y_;
  Buffer<uint8_t> tables_;
};

void gemv(benchmark::State& state, const WorkingSet& set, TileForm form, kernels::Isa isa) {
  const int64_t bytes = share_of(set, state), tiles = bytes / tile_bytes(form, kColumns);
  const uint8_t* w = weights() + bytes * state.thread_index();
  Product product(kernels::table(isa), form, state.threads());
  for (auto _ : state) product.run(w, tiles);
  state.SetBytesProcessed(state.iterations() * tiles * tile_bytes(form, kColumns));
  state.counters["weights"] = benchmark::Counter(
      static_cast<double>(state.iterations() * tiles * tile_rows(form) * kColumns),
      benchmark::Counter::kIsRate);
}

void add(const WorkingSet& set) {
  const auto settings = [](benchmark::internal::Benchmark* b) {
    b->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.15)->Threads(1)->Threads(2);
  };
  settings(benchmark::RegisterBenchmark(fmt::format("{}/read", set.name).c_str(), read, set));
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const kernels::Isa isa : kernels::available()) {
      if (isa == kernels::Isa::kScalar) continue;
      const std::string name =
          fmt::format("{}/{}/{}", set.name, to_string(form), kernels::to_string(isa));
      settings(benchmark::RegisterBenchmark(name.c_str(), gemv, set, form, isa));
    }
  }
}

}  // namespace
}  // namespace trit

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const trit::WorkingSet& set : trit::kSets) trit::add(set);
  trit::weights();
  benchmark::RunSpecifiedBenchmarks();
}
