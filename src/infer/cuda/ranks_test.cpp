// Models divided among ranks on devices against the same device alone, bit for bit: threads as ranks that share one
// device (through the host), and, where there are two, on a device each (in every way).

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "base/error.h"
#include "base/test_ranks.h"
#include "infer/cuda/backend.h"
#include "infer/rank_backend.h"
#include "infer/test_traces.h"
#include "kernels/cuda/collectives.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

// Of few rows, since the products of a float head with more are summed in an order that depends on its share.
constexpr CudaBackendOptions kOptions{.kv_type = KvType::kInt8, .positions = 256, .max_rows = 8};

struct Job {
  int ranks, stages;
  const char* way = "peers";
};

// What `body` makes of a model that is divided so, on rank 0.
void run_job(const Job& job, const Model& model, const CudaBackendOptions& options, int devices,
             const std::function<void(Backend&)>& body) {
  setenv("TRIT_EXCHANGE", job.way, 1);
  run_ranks(job.ranks, [&](Collectives& all) {
    const Ranks ranks(all, job.stages);
    const Weights part = part_of(model.weights(), ranks);
    const auto own = cuda_backend(cuda_weights(part, all.rank() % devices, ranks), options);
    if (all.rank() != 0) return follow(ranks, *own);
    RankBackend together(ranks, *own);
    body(together);
  });
}

class CudaRanks : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto found = static_cast<int>(cuda::devices().size());
    if (found < devices()) GTEST_SKIP() << "fewer than " << devices() << " NVIDIA devices";
    if (devices() > 1 && !cuda::nccl_built()) GTEST_SKIP() << "built without NCCL";
  }
  int devices() const { return GetParam(); }
  std::vector<Job> jobs() const {
    if (devices() == 2) return {{2, 1}, {2, 1, "nccl"}, {2, 2, "nccl"}, {2, 1, "host"}};
    return {{2, 1}, {3, 1}, {2, 2}, {3, 3}, {6, 2}, {1, 1}};
  }
};

TEST_P(CudaRanks, GiveTheBitsOfOne) {
  for (const Family family : {Family::kBitNet, Family::kBitNet2B4T, Family::kBitNetPaper,
                              Family::kBinary, Family::kLlama}) {
    const Model model = Model::random(uneven_shape(family), 3);
    const auto alone = cuda_backend(model.weights(), kOptions);
    const std::vector<Trace> expected = traces_of(*alone);
    for (const Job& job : jobs()) {
      std::vector<Trace> traces;
      run_job(job, model, kOptions, devices(),
              [&](Backend& backend) { traces = traces_of(backend); });
      EXPECT_TRUE(traces == expected) << to_string(family) << ", " << job.ranks << " ranks in "
                                      << job.stages << " stages, " << job.way;
    }
  }
}

// A prompt in pieces for the kernels of many rows, and the best logits of some of them.
TEST_P(CudaRanks, GiveTheBitsOfOneForLongPrompts) {
  const Model model = Model::random(uneven_shape(Family::kBitNet2B4T), 3);
  const CudaBackendOptions options{.positions = 256, .max_rows = 150};
  const std::vector<int64_t> rows{0, 17, 149};
  struct Result {
    std::vector<float> logits;
    std::vector<std::pair<float, int32_t>> top;
    bool operator==(const Result&) const = default;
  };
  const auto results = [&](Backend& backend) {
    std::vector<int32_t> tokens;
    std::vector<TokenSlot> slots;
    for (int32_t i = 0; i < 150; ++i) {
      tokens.push_back(i * 13 % 301);
      slots.push_back({0, i});
    }
    const std::vector<int32_t> pages{2, 0, 1};
    const PageTable table(pages);
    backend.run({tokens, slots, {&table, 1}});
    Result result{std::vector<float>(3 * 301), {}};
    backend.logits(rows, {result.logits.data(), 3, 301});
    std::array<TokenLogit, 3 * 5> top;
    backend.top(rows, 5, top);
    for (const TokenLogit& one : top) result.top.emplace_back(one.logit, one.token);
    return result;
  };
  const auto alone = cuda_backend(model.weights(), options);
  const Result expected = results(*alone);
  for (const Job& job : jobs()) {
    Result result;
    run_job(job, model, options, devices(), [&](Backend& backend) { result = results(backend); });
    EXPECT_TRUE(result == expected)
        << job.ranks << " ranks in " << job.stages << " stages, " << job.way;
  }
}

TEST_P(CudaRanks, AFailedBatchLeavesTheJobWell) {
  Model model = Model::random(uneven_shape(Family::kBitNet), 3);
  for (int i = 0; i < 100; ++i) model.masters()[static_cast<size_t>(42 * 100 + i)] = INFINITY;
  const std::vector<int32_t> bad{1, 42, 3}, none{1, 301, 3}, good{1, 2, 3}, pages{0};
  const std::vector<TokenSlot> slots{{0, 0}, {0, 1}, {0, 2}};
  const PageTable table(pages);
  for (const Job& job : jobs()) {
    run_job(job, model, kOptions, devices(), [&](Backend& backend) {
      EXPECT_THROW(backend.run({bad, slots, {&table, 1}}), Error);
      EXPECT_THROW(backend.run({none, slots, {&table, 1}}), Error);
      EXPECT_NO_THROW(backend.run({good, slots, {&table, 1}}));
    });
  }
}

INSTANTIATE_TEST_SUITE_P(, CudaRanks, testing::Values(1, 2), [](const auto& info) {
  return info.param == 1 ? std::string("OnOneDevice") : std::string("OnADeviceEach");
});

TEST(CudaRanksParts, DivideWeightsAndCache) {
  if (cuda::devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Model model = Model::random(uneven_shape(Family::kBitNet), 3);
  const auto alone = cuda_backend(model.weights(), kOptions);
  run_ranks(6, [&](Collectives& all) {
    const Ranks ranks(all, 3);
    const Weights part = part_of(model.weights(), ranks);
    const auto own = cuda_backend(cuda_weights(part, 0, ranks), kOptions);
    EXPECT_EQ(own->page_bytes() * 6, alone->page_bytes());
  });
  run_ranks(4, [&](Collectives& all) {
    const Ranks ranks(all, 4);
    EXPECT_THROW(cuda_weights(part_of(model.weights(), ranks), 0, ranks),
                 Error);  // of three layers
  });
}

}  // namespace
}  // namespace trit
