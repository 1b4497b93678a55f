#include "bench/model_bench.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit::bench {
namespace {

Config tiny() {
  Config c = as_family(preset("nano"), Family::kBitNet);
  c.vocabulary = 64;
  c.context = 64;
  c.heads = c.kv_heads = 3;
  c.head_dim = 32;
  return c;
}

TEST(ModelBench, NamesTestsAsLlamaBenchDoes) {
  EXPECT_EQ((ModelTest{512, 0, 0, 1, 2}.name()), "pp512");
  EXPECT_EQ((ModelTest{0, 128, 4096, 1, 2}.name()), "tg128 @ d4096");
  EXPECT_EQ((ModelTest{0, 16, 0, 64, 2}.name()), "tg16 x 64");
}

TEST(ModelBench, BytesAndSharesByHand) {
  const Model model = Model::random(tiny(), 1);
  ModelBenchOptions options;
  options.prompts = {};
  options.generate = {8};
  options.depths = {16};
  options.batches = {1, 2};
  options.threads = {1};
  options.repeats = 3;
  options.kv_type = KvType::kF32;
  const ModelReport report = bench_model(model, "tiny", options);
  ASSERT_EQ(report.results.size(), 2u);
  // Float32 keys and values, heads and values rounded up to 16.
  const Config& c = model.config();
  ASSERT_EQ(c.head_dim % 16, 0);
  const int64_t cache = c.layers * c.kv_heads * c.head_dim * 2 * 4;
  EXPECT_EQ(report.cache_bytes_per_position, cache);
  // In the middle of generating, 16 + 8 / 2 positions are in the cache; two sequences share the weights.
  const auto weights = static_cast<double>(model.bytes_per_token());
  EXPECT_DOUBLE_EQ(report.results[0].bytes_per_token, weights + 20.0 * static_cast<double>(cache));
  EXPECT_DOUBLE_EQ(report.results[1].bytes_per_token,
                   weights / 2 + 20.0 * static_cast<double>(cache));

  Machine machine;
  machine.rates = {{Measure::kRead, "DRAM", "1 stream", 1 << 30, 1, statistics({20.0})}};
  const std::vector<OrderedJson> rows = rows_of(report, machine);
  EXPECT_DOUBLE_EQ(rows[0]["read_share"].get<double>(), report.results[0].gb_per_s / 20);
  EXPECT_TRUE(rows[0]["peak_share"].is_null());  // no product was measured
  EXPECT_DOUBLE_EQ(rows[0]["ms_per_token"].get<double>(), 1e3 / rows[0]["median_ts"].get<double>());
  EXPECT_DOUBLE_EQ(rows[1]["ms_per_token"].get<double>(), 2e3 / rows[1]["median_ts"].get<double>());
}

TEST(ModelBench, WhatTheContextCannotHoldIsSaid) {
  const Model model = Model::random(tiny(), 1);
  ModelBenchOptions options;
  options.prompts = {64, 65};
  options.generate = {0};
  options.threads = {1};
  options.repeats = 1;
  const ModelReport report = bench_model(model, "tiny", options);
  ASSERT_EQ(report.results.size(), 1u);
  ASSERT_EQ(report.not_measured.size(), 1u);
  EXPECT_EQ(report.not_measured[0].name, "pp65");
  EXPECT_NE(report.not_measured[0].why.find("64"), std::string::npos);
}

}  // namespace
}  // namespace trit::bench
