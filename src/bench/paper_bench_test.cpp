#include "bench/paper_bench.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/paper_model.h"

namespace trit::bench {
namespace {

using M = PaperMeasure;

// 10 mJ more at every look.
class Meter : public EnergyMeter {
 public:
  double joules() override { return joules_ += 0.01; }

 private:
  double joules_ = 0;
};

PaperOptions small() {
  PaperOptions options;
  options.sizes = {"nano"};
  options.contexts = {1, 20};
  options.steps = 4;
  options.prompt = 32;
  options.batches = {2};
  options.largest = false;
  options.sequence = 64;
  options.energy_seconds = 0.02;
  return options;
}

const PaperFigure* find(const PaperReport& report, const char* weights, M measure, int64_t tokens,
                        int64_t rows) {
  return report.find({"nano", weights, measure, tokens, rows, "f16"});
}

TEST(PaperBench, MeasuresBothOfASize) {
  Meter meter;
  PaperOptions options = small();
  options.meter = &meter;
  const PaperReport report = bench_paper(options);
  EXPECT_TRUE(report.gaps.empty()) << report.gaps[0].why;
  for (const char* weights : {"ternary", "float16"}) {
    for (const auto& [measure, tokens, rows] : {std::tuple(M::kTokenTime, 1, 1),
                                                {M::kTokenTime, 20, 1},
                                                {M::kPrompt, 32, 32},
                                                {M::kBatch, 64, 2},
                                                {M::kEnergy, 1, 1},
                                                {M::kPower, 1, 1}}) {
      const PaperFigure* figure = find(report, weights, measure, tokens, rows);
      ASSERT_NE(figure, nullptr) << weights << " " << to_string(measure) << " " << tokens;
      EXPECT_GT(figure->value, 0);
    }
  }
}

TEST(PaperBench, SaysWhatItCannotMeasure) {
  PaperOptions options = small();
  options.float16 = false;
  options.contexts = {1, 253};  // of 256
  options.no_meter = "there is no meter";
  const PaperReport report = bench_paper(options);
  ASSERT_EQ(report.gaps.size(), 2u);
  EXPECT_EQ(report.gaps[0].what, "tokens after 253");
  EXPECT_EQ(report.gaps[1].why, "there is no meter");
  EXPECT_EQ(find(report, "ternary", M::kTokenTime, 253, 1), nullptr);
  options.sizes = {"4B"};
  EXPECT_THROW(bench_paper(options), Error);
}

// 70B with 8 heads of 128 for keys and values, in float16, of 80 layers: 512 x 8 x 128 x 2 x 2 x 80 bytes of cache a
// sequence, beside which activations are little.
TEST(PaperBench, PlansTheLargestBatchByMemory) {
  const Config config = paper_config("70B", true);
  RunnerOptions options{.kv_type = KvType::kF16, .positions = 512, .prompt_rows = 16};
  const int64_t sequence = int64_t{512} * 8 * 128 * 2 * 2 * 80;
  const int64_t batch = largest_batch(config, options, 780 * sequence);
  EXPECT_LT(batch, 780);
  EXPECT_GT(batch, 760);
  options.sequences = batch;
  EXPECT_LE(ModelRunner::memory_bytes(config, options), 780 * sequence);
  options.sequences = batch + 1;
  EXPECT_GT(ModelRunner::memory_bytes(config, options), 780 * sequence);
  EXPECT_EQ(largest_batch(config, options, sequence), 0);
}

// 80 layers of 8192 x (64 + 8 + 8 + 64) x 128 and 3 x 8192 x 28672, two tables of 32000 x 8192.
TEST(PaperBench, KnowsWhatWeightsTake) {
  const int64_t linear = int64_t{80} * (int64_t{8192} * 144 * 128 + int64_t{3} * 8192 * 28672);
  const int64_t tables = int64_t{2} * 32000 * 8192 * 2;
  EXPECT_EQ(PaperModel::weight_bytes(paper_config("70B", false)), 2 * linear + tables);
  EXPECT_EQ(PaperModel::weight_bytes(paper_config("70B", true)), linear / 4 + tables);
}

// Notes which pages are copied, and computes nothing.
class Copying : public Backend {
 public:
  Copying(const Config& config, int64_t pages, std::vector<std::pair<PageId, PageId>>& copies)
      : config_(config), pages_(pages), copies_(copies) {}
  const Config& config() const override { return config_; }
  int64_t pages() const override { return pages_; }
  int64_t page_positions() const override { return 64; }
  int64_t page_bytes() const override { return 1; }
  int64_t max_rows() const override { return 512; }
  void run(const Batch&) override {}
  void logits(std::span<const int64_t>, Matrix) override {}
  void top(std::span<const int64_t>, int64_t, std::span<TokenLogit>) override {}
  void copy_page(PageId from, PageId to) override { copies_.emplace_back(from, to); }

 private:
  const Config& config_;
  int64_t pages_;
  std::vector<std::pair<PageId, PageId>>& copies_;
};

// 150 positions are three pages; the first 70 fill two of them, the next 70 the second and the third.
TEST(ModelRunner, CopiesTheFirstSequence) {
  const Config config = paper_config("nano", true);
  std::vector<std::pair<PageId, PageId>> copies;
  const auto make = [&](const CpuBackendOptions& o) {
    return std::make_unique<Copying>(config, o.positions / 64, copies);
  };
  ModelRunner runner(config, make, {.sequences = 3, .positions = 150, .candidates = 1});
  runner.prefill_alike(70);
  const std::vector<std::pair<PageId, PageId>> first = {{0, 3}, {1, 4}, {0, 6}, {1, 7}};
  EXPECT_EQ(copies, first);
  copies.clear();
  runner.prefill_alike(70);
  const std::vector<std::pair<PageId, PageId>> second = {{1, 4}, {2, 5}, {1, 7}, {2, 8}};
  EXPECT_EQ(copies, second);
  EXPECT_EQ(runner.position(), 140);
}

}  // namespace
}  // namespace trit::bench
