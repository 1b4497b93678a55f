// Products of many tokens with ternary tiles, by form, instruction set, threads, shape and tokens: multiply-adds
// a second (GMAC/s), and their share of what the set's own dot product does from registers alone, measured in
// the same run. Names read form/set/threads/outputs x inputs/tokens; choose with --benchmark_filter.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/tensor.h"
#include "base/thread_pool.h"
#include "bench/dot_peak.h"
#include "kernels/kernels.h"
#include "quant/packing.h"
#include "quant/tiles.h"

namespace trit {
namespace {

using kernels::Isa;

constexpr int64_t kPieceRows = 256;  // of one call

struct Shape {
  int64_t outputs, inputs;
};
constexpr Shape kShapes[] = {
    {1536, 1536}, {4096, 1536}, {1536, 4096},  // 700M
    {3200, 3200}, {8640, 3200}, {3200, 8640},  // 3B
    {2560, 2560}, {6912, 2560}, {2560, 6912},  // 2B-4T
};
constexpr int64_t kTokens[] = {4, 5, 6, 7, 8, 12, 13, 16, 17, 24, 32, 33, 64, 100, 128, 512};

struct Operands {
  Buffer<uint8_t> w;
  Buffer<int8_t> x;
  std::vector<int32_t> x_sum;
};

Operands make_operands(TileForm form, Shape shape, int64_t T) {
  Rng rng(1);
  const int64_t row_bytes = packed_row_bytes(shape.inputs);
  std::vector<int8_t> levels(static_cast<size_t>(shape.inputs));
  std::vector<uint8_t> packed(static_cast<size_t>(shape.outputs * row_bytes));
  for (int64_t r = 0; r < shape.outputs; ++r) {
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    pack_trits(levels, 1, shape.inputs,
               {packed.data() + r * row_bytes, static_cast<size_t>(row_bytes)});
  }
  Operands made{
      Buffer<uint8_t>(static_cast<size_t>(tiled_bytes(form, shape.outputs, shape.inputs))),
      Buffer<int8_t>(static_cast<size_t>(T * activation_stride(shape.inputs))),
      std::vector<int32_t>(static_cast<size_t>(T))};
  tile_trits(form, packed, shape.outputs, shape.inputs, 0, {made.w.data(), made.w.size()});
  for (int64_t i = 0; i < T * activation_stride(shape.inputs); ++i)
    made.x.data()[i] = static_cast<int8_t>(static_cast<int>(rng.below(255)) - 127);
  return made;
}

const Operands& operands(TileForm form, Shape shape) {
  static std::map<std::pair<TileForm, int64_t>, Operands> made;
  const auto key = std::pair(form, shape.outputs * 100000 + shape.inputs);
  const auto found = made.find(key);
  if (found != made.end()) return found->second;
  return made.emplace(key, make_operands(form, shape, 512)).first->second;
}

void multiply(const kernels::Table& kernel, TileForm form, Shape shape, int64_t T,
              const Operands& in) {
  const int64_t height = tile_rows(form), tiles = row_tiles(form, shape.outputs);
  const int64_t bytes = tile_bytes(form, shape.inputs), blocks = tile_blocks(form, shape.inputs);
  const int64_t stride = activation_stride(shape.inputs);
  parallel_ranges(tiles, kPieceRows / height, [&](int64_t begin, int64_t end) {
    thread_local std::vector<int32_t> y;
    y.resize(static_cast<size_t>(T * kPieceRows));
    const uint8_t* w = in.w.data() + begin * bytes;
    if (form == TileForm::kTwoBit) {
      kernel.two_bit_gemm_i8(w, end - begin, blocks, in.x.data(), stride, in.x_sum.data(), T,
                             y.data(), kPieceRows);
    } else {
      kernel.base3_gemm_i8(w, end - begin, blocks, in.x.data(), stride, in.x_sum.data(), nullptr, T,
                           y.data(), kPieceRows);
    }
  });
}

void run(benchmark::State& state, TileForm form, Isa isa, int threads, Shape shape, int64_t T) {
  set_thread_count(threads);
  const Operands& in = operands(form, shape);
  const double peak = dot_peak(isa, threads);
  for (auto _ : state) multiply(kernels::table(isa), form, shape, T, in);
  const double macs = static_cast<double>(shape.outputs * shape.inputs * T) *
                      static_cast<double>(state.iterations());
  state.counters["GMAC/s"] = benchmark::Counter(macs * 1e-9, benchmark::Counter::kIsRate);
  if (peak > 0)
    state.counters["share"] = benchmark::Counter(macs / peak, benchmark::Counter::kIsRate);
}

void add_benchmarks() {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const Isa isa : kernels::available()) {
      for (const int threads : {1, 2}) {
        for (const Shape shape : kShapes) {
          for (const int64_t T : kTokens) {
            benchmark::RegisterBenchmark(
                fmt::format("{}/{}/{}/{}x{}/{}", to_string(form), kernels::to_string(isa), threads,
                            shape.outputs, shape.inputs, T)
                    .c_str(),
                [=](benchmark::State& state) { run(state, form, isa, threads, shape, T); })
                ->UseRealTime()
                ->Unit(benchmark::kMicrosecond);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace trit

int main(int argc, char** argv) {
  trit::add_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
