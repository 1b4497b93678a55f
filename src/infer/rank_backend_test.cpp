// A model divided among ranks against the same model on one: the same tokens and the same bits.

#include "infer/rank_backend.h"

#include <gtest/gtest.h>

#include "base/test_ranks.h"
#include "infer/cpu_backend.h"
#include "infer/engine.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

// Sizes that three ranks cannot share evenly, but for the heads.
Config shape(Family family) {
  Config c = preset("nano");
  c.vocabulary = 301;
  c.layers = 3;
  c.heads = 6;
  c.kv_heads = 6;
  c.head_dim = 16;
  c.hidden = 100;
  c.ffn = 203;
  c.context = 256;
  return as_family(c, family);
}

struct Trace {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
};

// Three prompts at once, the first two beginning alike, in a cache so small that one has to stand back.
std::vector<Trace> run(Backend& backend) {
  Engine engine(backend, {.prompt_rows_beside = 16});
  std::vector<Trace> traces(3);
  for (size_t i = 0; i < traces.size(); ++i) {
    Request r;
    for (int32_t t = 0; t < 70; ++t)
      r.prompt.push_back((t * 7 + (i == 2 ? 5 : t > 66 ? int(i) : 0)) % 301);
    r.max_tokens = 100;
    r.sampler.seed = i;
    r.observe = [&logits = traces[i].logits](int64_t, std::span<const float> row) {
      logits.insert(logits.end(), row.begin(), row.end());
    };
    r.observe_from = 69;
    engine.submit(std::move(r));
  }
  while (!engine.idle()) {
    for (const Event& event : engine.step())
      if (event.token >= 0) traces[static_cast<size_t>(event.id)].tokens.push_back(event.token);
  }
  EXPECT_GT(engine.status().preemptions, 0);
  return traces;
}

constexpr CpuBackendOptions kOptions{.kv_type = KvType::kInt8, .positions = 320, .max_rows = 40};

TEST(RankBackend, RanksGiveTheBitsOfOne) {
  for (const Family family :
       {Family::kBitNet, Family::kBitNetPaper, Family::kBinary, Family::kLlama}) {
    const Model model = Model::random(shape(family), 3);
    CpuBackend alone(model.weights(), kOptions);
    const std::vector<Trace> expected = run(alone);

    struct Job {
      int ranks, stages;
    };
    for (const Job& job : {Job{2, 1}, Job{3, 1}, Job{2, 2}, Job{3, 3}, Job{6, 2}, Job{1, 1}}) {
      std::vector<Trace> traces;
      run_ranks(job.ranks, [&](Collectives& all) {
        const Ranks ranks(all, job.stages);
        const Weights part = part_of(model.weights(), ranks);
        CpuBackendOptions options = kOptions;
        options.ranks = &ranks;
        CpuBackend own(part, options);
        if (all.rank() != 0) return follow(ranks, own);
        RankBackend together(ranks, own);
        traces = run(together);
      });
      ASSERT_EQ(traces.size(), expected.size());
      for (size_t i = 0; i < traces.size(); ++i) {
        EXPECT_EQ(traces[i].tokens, expected[i].tokens) << job.ranks << " ranks, " << job.stages;
        EXPECT_TRUE(traces[i].logits == expected[i].logits)
            << job.ranks << " ranks, " << job.stages;
      }
    }
  }
}

// What a rank keeps of the cache and of the weights is its part.
TEST(RankBackend, DividesTheCache) {
  const Model model = Model::random(shape(Family::kBitNet), 3);
  CpuBackend alone(model.weights(), kOptions);
  run_ranks(6, [&](Collectives& all) {
    const Ranks ranks(all, 3);
    const Weights part = part_of(model.weights(), ranks);
    CpuBackendOptions options = kOptions;
    options.ranks = &ranks;
    const CpuBackend own(part, options);
    EXPECT_EQ(own.page_bytes() * 6, alone.page_bytes());
    EXPECT_EQ(part.layers[static_cast<size_t>(ranks.stage())][Projection::kQ].outputs, 48);
  });
}

// Activations that are not finite fail on every rank, whatever their stage, and the job goes on.
TEST(RankBackend, AFailedBatchLeavesTheJobWell) {
  Model model = Model::random(shape(Family::kBitNet), 3);
  // The row of one token, in the embedding table that is also the head.
  for (int i = 0; i < 100; ++i) model.masters()[static_cast<size_t>(42 * 100 + i)] = INFINITY;
  for (const int stages : {1, 2, 3}) {
    run_ranks(stages == 3 ? 3 : 2 * stages, [&](Collectives& all) {
      const Ranks ranks(all, stages);
      const Weights part = part_of(model.weights(), ranks);
      CpuBackendOptions options = kOptions;
      options.ranks = &ranks;
      CpuBackend own(part, options);
      if (all.rank() != 0) return follow(ranks, own);
      RankBackend together(ranks, own);
      const std::vector<int32_t> bad{1, 42, 3}, good{1, 2, 3}, pages{0};
      const std::vector<TokenSlot> slots{{0, 0}, {0, 1}, {0, 2}};
      const PageTable table(pages);
      EXPECT_THROW(together.run({bad, slots, {&table, 1}}), Error);
      EXPECT_NO_THROW(together.run({good, slots, {&table, 1}}));
    });
  }
}

TEST(RankBackend, SizesThatDoNotDivideAreNamed) {
  const Model model = Model::random(shape(Family::kBitNet), 3);
  run_ranks(4, [&](Collectives& all) {
    const Ranks ranks(all, 1);
    try {
      part_of(model.weights(), ranks);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_STREQ(
          error.what(),
          "tensor parallelism over 4 ranks: the model has 6 heads, which they cannot share evenly");
    }
    EXPECT_THROW(Ranks(all, 3), Error);
  });
}

}  // namespace
}  // namespace trit
