// Whole models on a device against the CPU's.

#include "infer/cuda/backend.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "infer/cpu_backend.h"
#include "infer/engine.h"
#include "kernels/cuda/device.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

Config shape(Family family) {
  Config c = preset("nano");
  c.vocabulary = 301;
  c.layers = 3;
  c.context = 1024;
  return as_family(c, family);
}

std::vector<int32_t> text(int64_t length, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < length; ++i) tokens.push_back(static_cast<int32_t>(rng.below(301)));
  return tokens;
}

// Logits after every token of a text that runs in pieces of `rows`.
std::vector<float> all_logits(Backend& backend, std::span<const int32_t> tokens, int64_t rows) {
  std::vector<int32_t> pages;
  // Scattered, and not in order.
  for (int64_t i = 0; i < kernels::pages_of(std::ssize(tokens)); ++i)
    pages.push_back(static_cast<int32_t>((i * 5 + 3) % backend.pages()));
  const PageTable table(pages);
  const int64_t V = backend.config().vocabulary;
  std::vector<float> out(static_cast<size_t>(std::ssize(tokens) * V));
  for (int64_t at = 0; at < std::ssize(tokens); at += rows) {
    const int64_t count = std::min(rows, std::ssize(tokens) - at);
    std::vector<TokenSlot> slots;
    std::vector<int64_t> wanted;
    for (int64_t i = 0; i < count; ++i) {
      slots.push_back({0, static_cast<int32_t>(at + i)});
      wanted.push_back(i);
    }
    backend.run(
        {tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)), slots, {&table, 1}});
    backend.logits(wanted, {out.data() + at * V, count, V});
  }
  return out;
}

struct Difference {
  double mean = 0, most = 0;
};
// Relative to the spread of the logits.
Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, apart = 0, most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    squares += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    apart += d * d;
    most = std::isfinite(d) ? std::max(most, d) : INFINITY;
  }
  const double rms = std::sqrt(squares / static_cast<double>(a.size()));
  return {std::sqrt(apart / static_cast<double>(a.size())) / rms, most / rms};
}

class CudaModel : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  }
};

// Integers are the same and norms are summed in double, so with a float32 cache only attention and the activation
// function round otherwise, in the last bit: logits agree to 1e-6. Where that bit tips an activation to the next of
// its 255 steps, that step is passed on to the rest of the text, and is about as large as the rounding of a float16
// cache. It happens to about one text in twenty, so most must agree and none may be far; what is wrong in the pass (the order
// of norms, a scale, a column) shows in all.
TEST_P(CudaModel, LogitsAreTheCpus) {
  constexpr int kTexts = 24;
  const Model model = Model::random(shape(GetParam()), 3);
  CpuBackend cpu(model.weights(), {.kv_type = KvType::kF32});
  const auto device = cuda_backend(model.weights(), {.kv_type = KvType::kF32});
  for (const int64_t rows : {30, 7, 1}) {
    int same = 0;
    for (int i = 0; i < kTexts; ++i) {
      const std::vector<int32_t> tokens = text(30, static_cast<uint64_t>(i));
      const Difference d =
          difference(all_logits(*device, tokens, rows), all_logits(cpu, tokens, 30));
      EXPECT_LT(d.mean, 0.05) << "text " << i << ", " << rows << " rows at once";
      same += d.most < 1e-5 ? 1 : 0;
    }
    EXPECT_GE(same, kTexts / 2) << rows << " rows at once";
  }
}

// A longer text, in pieces for every kind of kernel. Both sides round keys and values alike; what tensor cores take of
// a prompt beside them (queries, weights of positions) is rounded to float16 too, and one tipped activation may do as
// much. So they must be about as close to each other as that rounding takes the CPU's logits from those of a float32
// cache: half as much again, at most.
TEST_P(CudaModel, EveryTypeOfCacheIsTheCpus) {
  const Model model = Model::random(shape(GetParam()), 3);
  const std::vector<int32_t> tokens = text(300, 1);
  const auto of_cpu = [&](KvType type) {
    CpuBackend cpu(model.weights(), {.kv_type = type, .max_rows = 300});
    return all_logits(cpu, tokens, 300);
  };
  const std::vector<float> exact = of_cpu(KvType::kF32);
  const double of_f16 = difference(of_cpu(KvType::kF16), exact).mean;
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kInt8, KvType::kInt4}) {
    const std::vector<float> expected = of_cpu(type);
    const double rounding = std::max(difference(expected, exact).mean, of_f16);
    for (const int64_t rows : {300, 100, 64, 7, 1}) {
      const auto backend = cuda_backend(model.weights(), {.kv_type = type, .max_rows = 300});
      const Difference d = difference(all_logits(*backend, tokens, rows), expected);
      EXPECT_LT(d.mean, 1.5 * rounding) << to_string(type) << ", " << rows << " rows at once";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, CudaModel,
                         testing::Values(Family::kBitNet, Family::kBitNet2B4T, Family::kBitNetPaper,
                                         Family::kBinary, Family::kLlama),
                         [](const auto& info) {
                           std::string name(to_string(info.param));
                           std::erase(name, '-');
                           return name;
                         });

// One with normed heads (Qwen3), one with grouped ones, one whose head is a matrix of its own, one whose feed-forward part
// has a width that nothing divides.
TEST(CudaBackend, OtherShapes) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  Config normed = shape(Family::kLlama), grouped = shape(Family::kBitNet2B4T), odd = normed;
  normed.qk_norms = true;
  normed.tied = false;
  grouped.heads = 6;
  grouped.kv_heads = 2;
  grouped.head_dim = 20;
  grouped.hidden = 100;
  grouped.ffn = 200;
  odd.ffn = 203;
  for (const Config& config : {normed, grouped, odd}) {
    const Model model = Model::random(config, 3);
    CpuBackend cpu(model.weights(), {.kv_type = KvType::kF32});
    const auto device = cuda_backend(model.weights(), {.kv_type = KvType::kF32});
    for (const int64_t rows : {80, 8, 1}) {
      int same = 0;
      for (uint64_t i = 0; i < 8; ++i) {
        const std::vector<int32_t> tokens = text(80, i);
        const Difference d =
            difference(all_logits(*device, tokens, rows), all_logits(cpu, tokens, 80));
        EXPECT_LT(d.mean, 0.05) << rows << " rows at once";
        same += d.most < 1e-5 ? 1 : 0;
      }
      EXPECT_GE(same, 3) << rows << " rows at once";
    }
  }
}

TEST(CudaBackend, FormsThatDoNotRunAreSaid) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  Config c = shape(Family::kBitNet);
  c.inputs = InputKind::kFloat;
  const Model model = Model::random(c, 3);
  EXPECT_THROW(cuda_weights(model.weights(), 0), Error);
  EXPECT_THROW(cuda_weights(Model::random(shape(Family::kBitNet), 3).weights(), 1000), Error);
  const Model runs = Model::random(shape(Family::kBitNet), 3);
  try {
    cuda_backend(runs.weights(), {.positions = int64_t{1} << 40});
    FAIL() << "a cache of petabytes";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("GB"), std::string::npos) << error.what();
  }
}

// The shipped model, greedily, in the cache that agrees to seven digits: in float16 two tokens that are nearly as likely can
// change places, as they do between the CPU's own types of cache.
TEST(CudaBackend, WritesTheCpusStory) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Model model = Model::open(Path(TRIT_SOURCE_DIR) / "models/tales-3m.gguf");
  const auto story = [&](Backend& backend) {
    Engine engine(backend, {.context = 300});
    Request r;
    r.prompt = text(12, 7);
    r.max_tokens = 200;
    r.sampler.temperature = 0;
    engine.submit(std::move(r));
    std::vector<int32_t> tokens;
    while (!engine.idle())
      for (const Event& event : engine.step())
        if (event.token >= 0) tokens.push_back(event.token);
    return tokens;
  };
  CpuBackend cpu(model.weights(), {.kv_type = KvType::kF32});
  const auto device = cuda_backend(model.weights(), {.kv_type = KvType::kF32});
  EXPECT_EQ(story(*device), story(cpu));
}

TEST(CudaBackend, TheEngineWritesWhatTheCpuWrites) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Model model = Model::open(Path(TRIT_SOURCE_DIR) / "models/tales-3m.gguf");
  const auto write = [&](Backend& backend) {
    Engine engine(backend, {.context = 200, .max_sequences = 5});
    std::vector<std::vector<int32_t>> texts(5);
    for (size_t i = 0; i < texts.size(); ++i) {
      Request r;
      r.prompt = {1};
      for (int32_t t = 0; t < 20 * static_cast<int32_t>(i) + 3; ++t)
        r.prompt.push_back(300 + 7 * t);
      r.max_tokens = 80;
      r.sampler.temperature = 0;
      engine.submit(std::move(r));
    }
    while (!engine.idle())
      for (const Event& event : engine.step())
        if (event.token >= 0) texts[static_cast<size_t>(event.id)].push_back(event.token);
    EXPECT_GT(engine.status().preemptions, 0);
    return texts;
  };
  CpuBackend cpu(model.weights(), {.kv_type = KvType::kF32, .positions = 640});
  const auto device = cuda_backend(model.weights(), {.kv_type = KvType::kF32, .positions = 640});
  EXPECT_EQ(write(*device), write(cpu));
}

TEST(CudaBackend, TopIsOfTheLogits) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Model model = Model::random(shape(Family::kBitNet), 3);
  const auto backend = cuda_backend(model.weights(), {.max_rows = 128});
  const std::vector<int32_t> tokens = text(128, 2), pages{0, 1};
  const PageTable table(pages);
  for (const int64_t rows : {1, 5, 128}) {
    std::vector<TokenSlot> slots;
    for (int32_t i = 0; i < rows; ++i) slots.push_back({0, i});
    for (const int64_t k : {1, 40}) {
      backend->run({std::span(tokens).first(static_cast<size_t>(rows)), slots, {&table, 1}});
      const std::vector<int64_t> wanted =
          rows == 1 ? std::vector<int64_t>{0} : std::vector<int64_t>{rows - 1, 0, rows / 2};
      std::vector<TokenLogit> top(wanted.size() * static_cast<size_t>(k));
      backend->top(wanted, k, top);
      std::vector<float> all(wanted.size() * 301);
      backend->logits(wanted, {all.data(), std::ssize(wanted), 301});
      for (size_t i = 0; i < wanted.size(); ++i) {
        std::vector<TokenLogit> sorted;
        for (int32_t v = 0; v < 301; ++v)
          sorted.push_back({all[i * 301 + static_cast<size_t>(v)], v});
        std::ranges::stable_sort(sorted, [](auto& a, auto& b) { return a.logit > b.logit; });
        for (size_t j = 0; j < static_cast<size_t>(k); ++j) {
          EXPECT_EQ(top[i * static_cast<size_t>(k) + j].token, sorted[j].token)
              << rows << ", " << k;
          EXPECT_EQ(top[i * static_cast<size_t>(k) + j].logit, sorted[j].logit);
        }
      }
    }
  }
}

// A token of each of many sequences: the best of all are found in the step, in pieces, and are those of the logits.
TEST(CudaBackend, ManySequencesHaveTheirOwnLogits) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  constexpr size_t kSequences = 300, kV = 301;
  const Model model = Model::random(shape(Family::kBitNet), 3);
  const auto backend = cuda_backend(
      model.weights(), {.positions = kSequences * 64, .max_rows = int64_t{kSequences}});
  std::vector<int32_t> pages, first;
  std::vector<PageTable> tables;
  std::vector<TokenSlot> slots;
  std::vector<int64_t> all;
  for (int32_t s = 0; s < static_cast<int32_t>(kSequences); ++s) {
    pages.push_back(static_cast<int32_t>(kSequences) - 1 - s);
    first.push_back(s / 10);  // by tens they begin alike; the last token is each one's own
    slots.push_back({s, 0});
    all.push_back(s);
  }
  for (size_t i = 0; i < kSequences; ++i) tables.push_back(PageTable(pages).subspan(i, 1));
  const std::vector<int32_t> last = text(kSequences, 5);
  backend->run({first, slots, tables});
  for (TokenSlot& slot : slots) slot.position = 1;
  backend->run({last, slots, tables});

  const std::vector<int64_t> some{299, 3, 256, 255, 0};
  std::vector<TokenLogit> best(kSequences), again(kSequences), three(3 * kSequences);
  std::vector<float> logits(kSequences * kV), of_some(some.size() * kV);
  backend->top(all, 1, best);
  backend->logits(all, {logits.data(), int64_t{kSequences}, int64_t{kV}});
  backend->top(all, 3, three);
  backend->top(all, 1, again);
  backend->logits(some, {of_some.data(), std::ssize(some), int64_t{kV}});
  const auto row_of = [](const std::vector<float>& of, size_t i) {
    return std::vector<float>(of.begin() + static_cast<std::ptrdiff_t>(i * kV),
                              of.begin() + static_cast<std::ptrdiff_t>((i + 1) * kV));
  };
  CpuBackend cpu(model.weights(), {.positions = 64});
  for (size_t s = 0; s < kSequences; ++s) {
    const std::vector<float> row = row_of(logits, s);
    const auto most = std::ranges::max_element(row);
    EXPECT_EQ(best[s].token, most - row.begin()) << s;
    EXPECT_EQ(best[s].logit, *most) << s;
    EXPECT_EQ(again[s].token, best[s].token);
    EXPECT_EQ(three[3 * s].token, best[s].token);
    if (s % 30 > 0) continue;
    const std::vector<int32_t> tokens{first[s], last[s]};
    EXPECT_LT(difference(row, row_of(all_logits(cpu, tokens, 2), 1)).mean, 0.1) << s;
  }
  for (size_t i = 0; i < some.size(); ++i)
    EXPECT_LT(difference(row_of(of_some, i), row_of(logits, static_cast<size_t>(some[i]))).most,
              1e-4)
        << some[i];
}

TEST(CudaBackend, ActivationsThatAreNotFiniteFailAlone) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  Model model = Model::random(shape(Family::kBitNet), 3);
  const int64_t C = model.config().hidden;
  for (int64_t i = 0; i < C; ++i) model.masters()[static_cast<size_t>(42 * C + i)] = INFINITY;
  const auto backend = cuda_backend(model.weights(), {});
  const std::vector<int32_t> bad{1, 42, 3}, good{1, 2, 3}, pages{0};
  const std::vector<TokenSlot> slots{{0, 0}, {0, 1}, {0, 2}};
  const PageTable table(pages);
  EXPECT_THROW(backend->run({bad, slots, {&table, 1}}), Error);
  EXPECT_NO_THROW(backend->run({good, slots, {&table, 1}}));
}

}  // namespace
}  // namespace trit
