#include "ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

constexpr AttentionShape kShape{6, 2, 20};

// A cache of `pages` pages.
struct Cache {
  Buffer<std::byte> memory;
  KvLayer layer;
  Cache(const AttentionShape& shape, KvType type, int64_t pages) {
    layer = {type, nullptr, kv_page_bytes(type, shape), kv_head_bytes(type, shape)};
    memory = Buffer<std::byte>(static_cast<size_t>(pages * layer.page_bytes));
    std::memset(memory.data(), 0xFF, memory.size());
    layer.pages = memory.data();
  }
};

struct Rows {
  Buffer<float> memory;
  Matrix view;
  Rows(int64_t rows, int64_t columns, uint64_t seed)
      : memory(static_cast<size_t>(rows * columns)), view{memory.data(), rows, columns} {
    Rng rng(seed);
    for (float& x : memory) x = rng.normal();
  }
  Matrix part(int64_t first, int64_t rows) const { return {view.row(first), rows, view.columns}; }
};

// What a sequence of `count` positions gives when it runs in pieces of `piece` rows over the pages of `table`.
std::vector<float> run(KvType type, int64_t count, int64_t piece,
                       const std::vector<int32_t>& table) {
  const Cache cache(kShape, type, 64);
  const Rows q(count, kShape.query_columns(), 1), k(count, kShape.kv_columns(), 2),
      v(count, kShape.kv_columns(), 3);
  std::vector<float> out(static_cast<size_t>(q.view.size()));
  const PageTable tables[] = {{}, table};
  for (int64_t first = 0; first < count; first += piece) {
    const int64_t rows = std::min(piece, count - first);
    std::vector<TokenSlot> slots;
    for (int64_t i = 0; i < rows; ++i) slots.push_back({1, static_cast<int32_t>(first + i)});
    cache_keys_values(kShape, k.part(first, rows), v.part(first, rows), slots, tables, cache.layer);
    attention_forward(kShape, q.part(first, rows), slots, tables, cache.layer,
                      {out.data() + first * q.view.columns, rows, q.view.columns}, nullptr);
  }
  return out;
}

class AttentionTest : public testing::TestWithParam<KvType> {};

TEST_P(AttentionTest, DependsNeitherOnPagesNorPiecesNorThreads) {
  const std::vector<int32_t> in_order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<int32_t> scattered = {41, 3, 62, 0, 17, 5, 33, 8, 20, 1};
  const int64_t count = 600;
  const int before = thread_count();
  const std::vector<float> expected = run(GetParam(), count, count, in_order);
  EXPECT_EQ(run(GetParam(), count, count, scattered), expected);
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    // Pieces below and above what is split into chunks.
    for (const int64_t piece : {1, 7, 100}) {
      EXPECT_EQ(run(GetParam(), count, piece, scattered), expected)
          << piece << " rows on " << threads << " threads";
    }
  }
  set_thread_count(before);
}

// 20 sequences that begin one after the other, a row of each at a time, stored and attended to in one call and in two.
// In every third step the first has two rows, and the second of them sees the first.
TEST_P(AttentionTest, StoresAndAttendsAtOnceAsInTwoCalls) {
  constexpr int32_t kSequences = 20;
  std::vector<int32_t> pages[kSequences];
  std::vector<PageTable> tables;
  for (int32_t i = 0; i < kSequences; ++i) {
    pages[i] = {2 * i, 2 * i + 1};
    tables.emplace_back(pages[i]);
  }
  const Cache one(kShape, GetParam(), 2 * kSequences), two(kShape, GetParam(), 2 * kSequences);
  int32_t length[kSequences] = {};
  for (int32_t step = 0; step < 85; ++step) {
    std::vector<TokenSlot> slots;
    for (int32_t i = 0; i < std::min(step + 1, kSequences); ++i) slots.push_back({i, length[i]++});
    if (step % 3 == 1) slots.push_back({0, length[0]++});
    const auto n = std::ssize(slots);
    const auto seed = static_cast<uint64_t>(10 * step);
    const Rows q(n, kShape.query_columns(), seed + 1), k(n, kShape.kv_columns(), seed + 2),
        v(n, kShape.kv_columns(), seed + 3);
    const Rows first(n, kShape.query_columns(), seed + 4), second(n, kShape.query_columns(), 5);
    cache_and_attend(kShape, q.view, k.view, v.view, slots, tables, one.layer, first.view, nullptr);
    cache_keys_values(kShape, k.view, v.view, slots, tables, two.layer);
    attention_forward(kShape, q.view, slots, tables, two.layer, second.view, nullptr);
    for (int64_t i = 0; i < first.view.size(); ++i)
      ASSERT_EQ(first.view.data[i], second.view.data[i]) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionTest,
                         testing::Values(KvType::kF32, KvType::kF16, KvType::kInt8, KvType::kInt4),
                         [](const auto& info) {
                           return std::string(kernels::to_string(info.param));
                         });

TEST(Attention, RowsOfSeveralSequencesReadTheirOwnPages) {
  const Cache cache(kShape, KvType::kF32, 4);
  const Rows k(2, kShape.kv_columns(), 2), v(2, kShape.kv_columns(), 3),
      q(2, kShape.query_columns(), 1);
  Rows out(2, kShape.query_columns(), 4);
  const int32_t first[] = {3}, second[] = {1};
  const PageTable tables[] = {first, second};
  // Two sequences of one position each: softmax over one score is 1, so the value itself comes out.
  const TokenSlot slots[] = {{1, 0}, {0, 0}};
  cache_keys_values(kShape, k.view, v.view, slots, tables, cache.layer);
  attention_forward(kShape, q.view, slots, tables, cache.layer, out.view, nullptr);
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t h = 0; h < kShape.heads; ++h) {
      for (int64_t d = 0; d < kShape.head_dim; ++d) {
        EXPECT_EQ(out.view.row(n)[h * kShape.head_dim + d],
                  v.view.row(n)[h / 3 * kShape.head_dim + d]);
      }
    }
  }
}

}  // namespace
}  // namespace trit
