// A model divided among ranks against the same model on one: the same tokens and the same bits.

#include "infer/rank_backend.h"

#include <gtest/gtest.h>

#include "base/test_ranks.h"
#include "infer/cpu_backend.h"
#include "infer/test_traces.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr CpuBackendOptions kOptions{.kv_type = KvType::kInt8, .positions = 320, .max_rows = 40};

// body(a backend that runs the model on so many ranks), on rank 0.
template <class Body>
void on_ranks(const Model& model, int count, int stages, const Body& body) {
  run_ranks(count, [&](Collectives& all) {
    const Ranks ranks(all, stages);
    const Weights part = part_of(model.weights(), ranks);
    CpuBackendOptions options = kOptions;
    options.ranks = &ranks;
    CpuBackend own(part, options);
    if (all.rank() != 0) return follow(ranks, own);
    RankBackend together(ranks, own);
    body(together);
  });
}

TEST(RankBackend, RanksGiveTheBitsOfOne) {
  for (const Family family :
       {Family::kBitNet, Family::kBitNetPaper, Family::kBinary, Family::kLlama}) {
    const Model model = Model::random(uneven_shape(family), 3);
    CpuBackend alone(model.weights(), kOptions);
    const std::vector<Trace> expected = traces_of(alone);

    struct Job {
      int ranks, stages;
    };
    for (const Job& job : {Job{2, 1}, Job{3, 1}, Job{2, 2}, Job{3, 3}, Job{6, 2}, Job{1, 1}}) {
      std::vector<Trace> traces;
      on_ranks(model, job.ranks, job.stages,
               [&](RankBackend& together) { traces = traces_of(together); });
      ASSERT_EQ(traces.size(), expected.size());
      for (size_t i = 0; i < traces.size(); ++i) {
        EXPECT_EQ(traces[i].tokens, expected[i].tokens) << job.ranks << " ranks, " << job.stages;
        EXPECT_TRUE(traces[i] == expected[i]) << job.ranks << " ranks, " << job.stages;
      }
    }
  }
}

// What a rank keeps of the cache and of the weights is its part.
TEST(RankBackend, DividesTheCache) {
  const Model model = Model::random(uneven_shape(Family::kBitNet), 3);
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
  Model model = Model::random(uneven_shape(Family::kBitNet), 3);
  // The row of one token, in the embedding table that is also the head.
  for (int i = 0; i < 100; ++i) model.masters()[static_cast<size_t>(42 * 100 + i)] = INFINITY;
  for (const int stages : {1, 2, 3}) {
    on_ranks(model, stages == 3 ? 3 : 2 * stages, stages, [&](RankBackend& together) {
      const std::vector<int32_t> bad{1, 42, 3}, good{1, 2, 3}, pages{0};
      const std::vector<TokenSlot> slots{{0, 0}, {0, 1}, {0, 2}};
      const PageTable table(pages);
      EXPECT_THROW(together.run({bad, slots, {&table, 1}}), Error);
      EXPECT_NO_THROW(together.run({good, slots, {&table, 1}}));
    });
  }
}

// The last stage has the logits, rank 0 asks for the best of them.
TEST(RankBackend, BringsTheBestLogits) {
  const Model model = Model::random(uneven_shape(Family::kBitNet), 3);
  const std::vector<int32_t> tokens{1, 2, 3}, pages{0};
  const std::vector<TokenSlot> slots{{0, 0}, {0, 1}, {0, 2}};
  const std::vector<int64_t> rows{2, 0};
  const PageTable table(pages);
  const auto best = [&](Backend& backend) {
    backend.run({tokens, slots, {&table, 1}});
    std::vector<TokenLogit> top(2 * 5);
    backend.top(rows, 5, top);
    return top;
  };
  CpuBackend alone(model.weights(), kOptions);
  const std::vector<TokenLogit> expected = best(alone);
  for (const int stages : {1, 2, 3}) {
    on_ranks(model, 6, stages, [&](RankBackend& together) {
      const std::vector<TokenLogit> top = best(together);
      for (size_t i = 0; i < top.size(); ++i) {
        EXPECT_EQ(top[i].token, expected[i].token);
        EXPECT_EQ(top[i].logit, expected[i].logit);
      }
    });
  }
}

TEST(RankBackend, SizesThatDoNotDivideAreNamed) {
  const Model model = Model::random(uneven_shape(Family::kBitNet), 3);
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
