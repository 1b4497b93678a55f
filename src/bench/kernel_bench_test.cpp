#include "bench/kernel_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace trit::bench {
namespace {

KernelBenchOptions tiny() {
  KernelBenchOptions options;
  options.shapes = {"nano"};
  options.threads = {2};
  options.quick = true;
  options.memory_bytes = 8 << 20;
  return options;
}

// Every kernel, each of them once from memory and once from a cache: finite, positive, with what it reads and multiplies.
TEST(KernelBench, MeasuresEveryKernel) {
  KernelBenchOptions options = tiny();
  options.shapes = {"nano", "128x256"};
  options.batches = {1, 18};
  options.depths = {300};
  int64_t told = 0;
  options.progress = [&](int64_t done, int64_t total, const std::string& what) {
    EXPECT_EQ(done, told++);
    EXPECT_LT(done, total);
    EXPECT_FALSE(what.empty());
  };
  const KernelReport report = bench_kernels(options);
  EXPECT_EQ(told, static_cast<int64_t>(report.results.size() + report.not_measured.size()));
  std::set<std::string> measured;
  for (const KernelResult& r : report.results) {
    SCOPED_TRACE(r.test.name());
    measured.insert(r.test.kernel.name);
    EXPECT_GT(r.microseconds.median, 0);
    EXPECT_TRUE(std::isfinite(r.gb_per_s()) && r.gb_per_s() > 0);
    EXPECT_GT(r.resident, 0);
    EXPECT_EQ(r.samples.size(), 3u);
    EXPECT_EQ(r.macs > 0, r.test.kernel.kind < KernelKind::kRow);
  }
  for (const KernelInfo& kernel : kernel_list()) {
    const bool without = kernel.name == "base3_tables" &&
                         kernels::table(kernels::active_isa()).base3_tables == nullptr;
    EXPECT_EQ(measured.contains(kernel.name), !without) << kernel.name;
  }
  // 96 inputs are no whole block of 256.
  EXPECT_TRUE(std::ranges::any_of(report.not_measured, [](const NotMeasured& row) {
    return row.name.starts_with("dense_gemm_q6_k 1024x96") &&
           row.why.find("256") != std::string::npos;
  }));
}

// Two bits: 16 rows of 96 inputs are 6 blocks of 64 bytes; base 3: 64 rows, 20 blocks and a tail of 128 bytes.
TEST(KernelBench, CountsByHand) {
  KernelBenchOptions options = tiny();
  options.shapes = {"256x96"};
  options.only = {"two_bit", "base3_gemm", "dense_gemm_q8_0"};
  options.batches = {3};
  options.sources = {Source::kL3};
  const KernelReport report = bench_kernels(options);
  ASSERT_EQ(report.results.size(), 3u);
  EXPECT_DOUBLE_EQ(report.results[0].bytes, 16 * 6 * 64);
  EXPECT_DOUBLE_EQ(report.results[1].bytes, 4 * (20 * 64 + 128));
  EXPECT_DOUBLE_EQ(report.results[2].bytes, 256 * 3 * 34);
  for (const KernelResult& r : report.results) EXPECT_DOUBLE_EQ(r.macs, 256 * 96 * 3);

  options.shapes = {"2B4T"};  // 5 heads for keys and values, 4 queries each, of 128
  options.only = {"attention_f16"};
  options.depths = {320};
  const KernelReport attention = bench_kernels(options);
  ASSERT_EQ(attention.results.size(), 1u);
  EXPECT_DOUBLE_EQ(attention.results[0].bytes, 5 * 320 * 128 * 2 * 2);
  EXPECT_DOUBLE_EQ(attention.results[0].macs, 5 * 320 * 128 * 2 * 4);
}

TEST(KernelBench, PlansWhatIsAskedFor) {
  KernelBenchOptions options;
  options.only = {"two_bit", "rmsnorm"};
  options.shapes = {"3B"};
  options.threads = {1, 2};
  options.isas = {"scalar"};
  std::vector<std::string> names;
  for (const KernelTest& test : plan_kernels(options)) names.push_back(test.name());
  const auto has = [&](const char* name) { return std::ranges::find(names, name) != names.end(); };
  EXPECT_TRUE(has("two_bit_gemm_i8 8640x3200 x 17, scalar, 1 thread, memory"));
  EXPECT_TRUE(has("two_bit_gemm_i8 3200x8640 x 512, scalar, 2 threads, cache"));
  EXPECT_TRUE(has("rmsnorm_backward 8640 x 1, scalar, 2 threads, cache"));
  // Shapes once each, eleven batches, two sources, two numbers of threads; two rows of two lengths.
  EXPECT_EQ(names.size(), 3u * 11 * 2 * 2 + 2 * 2 * 2);
}

std::string refusal(void (*change)(KernelBenchOptions&)) {
  KernelBenchOptions options;
  change(options);
  try {
    plan_kernels(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(KernelBench, UnknownNamesAreRefusedWithTheList) {
  const std::string only = refusal([](KernelBenchOptions& o) { o.only = {"two_bit", "sing"}; });
  EXPECT_NE(only.find("'sing'"), std::string::npos) << only;
  EXPECT_NE(only.find("base3_gemm_i8, "), std::string::npos) << only;
  const std::string shape = refusal([](KernelBenchOptions& o) { o.shapes = {"9B"}; });
  EXPECT_NE(shape.find("2B4T"), std::string::npos) << shape;
  const std::string isa = refusal([](KernelBenchOptions& o) { o.isas = {"mmx"}; });
  EXPECT_NE(isa.find("scalar"), std::string::npos) << isa;
  for (const auto change : std::initializer_list<void (*)(KernelBenchOptions&)>{
           [](KernelBenchOptions& o) { o.shapes = {"0x5"}; },
           [](KernelBenchOptions& o) { o.shapes = {"5x"}; },
           [](KernelBenchOptions& o) { o.shapes = {"5x6x7"}; },
           [](KernelBenchOptions& o) { o.shapes = {"5x999999999999"}; },
           [](KernelBenchOptions& o) { o.only = {""}; },
           [](KernelBenchOptions& o) {
             o.only = {"attention"};
             o.shapes = {"64x64"};
           }})
    EXPECT_NE(refusal(change), "");
}

// A machine of round figures: 40 GB/s from DRAM, 400 from L2, products and look-ups.
Machine round_figures() {
  Machine m;
  m.caches = {32 << 10, 2 << 20, 0};
  m.rates = {{Measure::kRead, "L2", "1 stream", 1 << 20, 1, statistics({400})},
             {Measure::kRead, "DRAM", "1 stream", 1 << 30, 1, statistics({40})},
             {Measure::kInt8, "tdpbusd", "amx-int8", 0, 1, statistics({4000})},
             {Measure::kInt8, "vpdpbusd zmm", "avx512vnni", 0, 1, statistics({500})},
             {Measure::kLookUp, "vpermb zmm", "avx512vbmi", 0, 1, statistics({200})},
             {Measure::kLookUp, "vpermi2b zmm", "avx512vbmi", 0, 1, statistics({100})}};
  return m;
}

KernelResult result(kernels::Isa isa, int64_t batch, Source source, double bytes, double macs,
                    double us, Measure arithmetic) {
  KernelTest test;
  test.kernel = kernel_list()[0];
  test.batch = batch;
  test.isa = isa;
  test.source = source;
  return {test, statistics({us}), {us}, bytes, macs, 1 << 20, arithmetic};
}

TEST(KernelBench, TheLimitIsWhatAloneTakesLongest) {
  using enum kernels::Isa;
  const Machine m = round_figures();
  // 1 MB and 4 M products: 25 us from DRAM, 8 us of vpdpbusd; 2.5 us from L2.
  const auto limit = [&](kernels::Isa isa, int64_t batch, Source source, Measure measure) {
    return limit_of(result(isa, batch, source, 1e6, 4e6, 50, measure), m);
  };
  KernelLimit l = limit(kAvx512Vnni, 1, Source::kMemory, Measure::kInt8);
  EXPECT_EQ(l.name, "DRAM");
  EXPECT_DOUBLE_EQ(l.share, 0.5);
  l = limit(kAvx512Vnni, 1, Source::kCache, Measure::kInt8);
  EXPECT_EQ(l.name, "vpdpbusd zmm");
  EXPECT_DOUBLE_EQ(l.share, 0.16);
  // AMX has no use for a single token; of many, 1 us of tdpbusd is less than 2.5 of L2.
  EXPECT_EQ(limit(kAmx, 1, Source::kCache, Measure::kInt8).name, "vpdpbusd zmm");
  EXPECT_EQ(limit(kAmx, 16, Source::kCache, Measure::kInt8).name, "L2");
  // 100 G look-ups make 250 G products: 16 us.
  l = limit(kAvx512Vbmi, 1, Source::kCache, Measure::kLookUp);
  EXPECT_EQ(l.name, "vpermi2b zmm");
  EXPECT_DOUBLE_EQ(l.share, 0.32);
  EXPECT_EQ(limit_of(result(kAvx2, 1, Source::kCache, 1, 1, 1, Measure::kInt8), Machine{}).name,
            "");
}

TEST(KernelBench, JsonAndPoints) {
  KernelReport report;
  report.results = {
      result(kernels::Isa::kAvx512Vnni, 4, Source::kCache, 1e6, 4e6, 50, Measure::kInt8),
      result(kernels::Isa::kAvx512Vnni, 4, Source::kMemory, 1e6, 0, 50, Measure::kInt8)};
  report.not_measured = {{"x", "why"}};
  const OrderedJson json = to_json(report, round_figures());
  const OrderedJson& row = json["results"][0];
  for (const char* key : {"kernel", "shape", "isa", "source", "limit"})
    EXPECT_TRUE(row[key].is_string()) << key;
  EXPECT_DOUBLE_EQ(row["gb_per_s"].get<double>(), 20);
  EXPECT_DOUBLE_EQ(row["gmac_per_s"].get<double>(), 80);
  EXPECT_DOUBLE_EQ(row["median_us"].get<double>(), 50);
  EXPECT_TRUE(json["results"][1]["gmac_per_s"].is_null());
  EXPECT_TRUE(rows_of(report, Machine{})[0]["limit"].is_null());
  EXPECT_TRUE(to_json(report, Machine{})["limits"].is_null());
  const std::vector<PlotPoint> points = points_of(report, 1);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_DOUBLE_EQ(points[0].intensity, 4);
  EXPECT_DOUBLE_EQ(points[0].gmacs, 80);
  EXPECT_TRUE(points[0].hollow);
  EXPECT_TRUE(points_of(report, 2).empty());
}

TEST(WorkingMemory, RingsTakeUnitsInTurn) {
  WorkingMemory memory(2, 0);
  memory.fill("count", [] { return std::vector<uint8_t>{0, 1, 2, 3, 4, 5, 6, 7}; });
  memory.fill("count", []() -> std::vector<uint8_t> { throw std::logic_error("filled twice"); });
  for (const int thread : {0, 1}) {
    Ring ring = memory.ring(thread, 8, 40);
    EXPECT_EQ(ring.units(), 5);
    const uint8_t* first = ring.next(2);
    EXPECT_EQ(first[9], 1);
    EXPECT_EQ(ring.next(2), first + 16);
    EXPECT_EQ(ring.next(2), first);  // one unit was left
    EXPECT_EQ(memory.ring(thread, 64, 8).units(), 1);
  }
}

}  // namespace
}  // namespace trit::bench
