#include "base/reduce.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/single_rank.h"
#include "base/test_ranks.h"

namespace trit {
namespace {

// 1 + 2^-24 is 1 in float32, 1 + 2^-23 is not: the order shows.
constexpr float kTiny = 0x1p-24f;

TEST(Reduce, AddsInHalvesOfHalves) {
  std::vector<float> parts = {1, kTiny, kTiny, kTiny};
  sum_halves(parts, 4);  // (1 + tiny) + (tiny + tiny) = 1 + 2^-23
  EXPECT_EQ(parts[0], 1 + 0x1p-23f);
  std::vector<float> three = {1, kTiny, kTiny};  // 1 + (tiny + tiny)
  sum_halves(three, 3);
  EXPECT_EQ(three[0], 1 + 0x1p-23f);
  const double doubles[] = {1, 0x1p-53, 0x1p-53};
  EXPECT_EQ(sum_halves(doubles), 1 + 0x1p-52);
  EXPECT_EQ(sum_halves(std::span<const double>()), 0.0);
}

TEST(Reduce, ScattersSumsInTheOrderOfOneRank) {
  for (const int count : {1, 2, 3, 4, 7}) {
    const auto ranks = static_cast<size_t>(count);
    std::vector<int64_t> sizes(ranks);
    for (size_t r = 0; r < ranks; ++r) sizes[r] = static_cast<int64_t>((r * 5) % 7);
    int64_t total = 0;
    for (const int64_t size : sizes) total += size;
    const auto value = [](size_t rank, size_t i) {
      return 1.0f / static_cast<float>(1 + rank * 31 + i);
    };
    std::vector<std::vector<float>> got(ranks);
    run_ranks(count, [&](Collectives& job) {
      const auto rank = static_cast<size_t>(job.rank());
      std::vector<float> values(static_cast<size_t>(total)), memory;
      for (size_t i = 0; i < values.size(); ++i) values[i] = value(rank, i);
      got[rank].resize(static_cast<size_t>(sizes[rank]));
      reduce_scatter(job, values, sizes, got[rank], memory);
    });
    size_t i = 0;
    for (size_t r = 0; r < ranks; ++r) {
      for (const float sum : got[r]) {
        std::vector<float> parts(ranks);
        for (size_t from = 0; from < ranks; ++from) parts[from] = value(from, i);
        sum_halves(parts, count);
        EXPECT_EQ(sum, parts[0]) << count << " ranks, element " << i;
        ++i;
      }
    }
  }
}

TEST(Reduce, GathersPartsOfAnySizeInPlace) {
  run_ranks(3, [](Collectives& job) {
    const int64_t sizes[] = {3, 0, 2};
    std::vector<std::byte> all(5);
    const auto begin = static_cast<size_t>(job.rank() == 0 ? 0 : 3);
    const auto size = static_cast<size_t>(sizes[job.rank()]);
    const std::span<std::byte> mine = std::span(all).subspan(begin, size);
    std::ranges::fill(mine, std::byte(job.rank() + 1));
    job.all_gather_parts(mine, sizes, all);
    const std::vector<std::byte> expected = {std::byte{1}, std::byte{1}, std::byte{1}, std::byte{3},
                                             std::byte{3}};
    EXPECT_EQ(all, expected);
  });
}

TEST(Reduce, GivesEverybodyTheSum) {
  run_ranks(3, [](Collectives& job) {
    double numbers[] = {static_cast<double>(job.rank() + 1), job.rank() == 0 ? 1.0 : 0x1p-53};
    all_reduce(job, numbers);
    EXPECT_EQ(numbers[0], 6.0);
    EXPECT_EQ(numbers[1], 1 + 0x1p-52);
  });
  double alone[] = {4.5};
  all_reduce(single_rank(), alone);
  EXPECT_EQ(alone[0], 4.5);
}

}  // namespace
}  // namespace trit
