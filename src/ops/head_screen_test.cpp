#include "ops/head_screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace trit {
namespace {

// A head and what the full product says of an input.
struct Head {
  std::vector<uint8_t> bytes;
  StoredMatrix matrix;
  int64_t rows, columns;

  Head(const std::vector<float>& weights, DType type, int64_t K)
      : bytes(2 * weights.size()), rows(std::ssize(weights) / K), columns(K) {
    from_f32(type, weights.data(), weights.size(), bytes.data());
    matrix.type = type;
    matrix.data = bytes.data();
  }
  Head(const PackedLayout& layout, const std::vector<float>& weights, int64_t K)
      : rows(std::ssize(weights) / K), columns(K) {
    bytes.resize(static_cast<size_t>(layout_bytes(layout, rows, K, "head")));
    encode_weights(layout, weights, rows, K, bytes, "head");
    matrix.layout = &layout;
    matrix.data = bytes.data();
  }
  uint8_t* row(int64_t r) { return bytes.data() + r * matrix.row_bytes(columns); }
  std::vector<float> products(const float* x) const {
    std::vector<float> y(static_cast<size_t>(rows));
    matrix.multiply(kernels::active(), 0, rows, columns, x, 1, y.data(), rows);
    return y;
  }
  // The k best rows of all, by sorting.
  std::vector<int32_t> best(const float* x, int64_t k) const {
    const std::vector<float> y = products(x);
    std::vector<int32_t> order(y.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
      return y[static_cast<size_t>(a)] > y[static_cast<size_t>(b)];
    });
    order.resize(static_cast<size_t>(k));
    return order;
  }
};

const PackedLayout* const kLayouts[] = {&kQ8_0, &kQ6_K};

std::vector<float> normal(int64_t count, Rng& rng, double scale = 1) {
  std::vector<float> out(static_cast<size_t>(count));
  for (float& v : out) v = static_cast<float>(scale * static_cast<double>(rng.normal()));
  return out;
}

// Every one of the k best is among the candidates; returns how many there are.
int64_t check_found(const Head& head, const float* x, int64_t k, const std::vector<int32_t>& rows) {
  if (rows.empty()) return 0;
  EXPECT_TRUE(std::ranges::is_sorted(rows));
  for (const int32_t r : head.best(x, k))
    EXPECT_TRUE(std::ranges::binary_search(rows, r)) << "row " << r << " k " << k;
  return std::ssize(rows);
}

// The same of rows of x one by one; where there are screens for several, of all together too, which are at least four.
int64_t check(HeadScreen& screen, const Head& head, const std::vector<float>& x, int64_t k,
              int64_t* together = nullptr) {
  const int64_t K = head.columns;
  std::vector<std::vector<int32_t>> found;
  int64_t count = 0;
  for (const float* row = x.data(); row != x.data() + x.size() && screen.screens(1); row += K) {
    screen.candidates({row, 1, K}, k, found);
    EXPECT_EQ(std::ssize(found), 1);
    count += check_found(head, row, k, found[0]);
  }
  if (!screen.screens(64)) return count;
  std::vector<float> rows = x;
  while (std::ssize(rows) < 4 * K) rows.insert(rows.end(), x.begin(), x.end());
  const int64_t T = std::ssize(rows) / K;
  screen.candidates({rows.data(), T, K}, k, found);
  EXPECT_EQ(std::ssize(found), T);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t some = check_found(head, rows.data() + t * K, k, found[static_cast<size_t>(t)]);
    if (together != nullptr) *together += some;
  }
  return count;
}

std::optional<HeadScreen> screen_of(const Head& head) {
  return HeadScreen::of(head.matrix, head.rows, head.columns);
}

#define SKIP_WITHOUT_KERNELS()                  \
  if (kernels::active().screen_q6_k == nullptr) \
  GTEST_SKIP() << "the active instruction set has no screens"

TEST(HeadScreen, KeepsTheBestOfThousandsOfInputsAndLittleElse) {
  SKIP_WITHOUT_KERNELS();
  Rng rng(1);
  for (const PackedLayout* layout : kLayouts) {
    constexpr int64_t K = 512, V = 1500;
    const Head head(*layout, normal(V * K, rng, 0.02), K);
    auto screen = screen_of(head);
    ASSERT_TRUE(screen);
    int64_t one = 0, many = 0, together = 0;
    for (int run = 0; run < 200; ++run) {
      std::vector<float> x = normal(2 * K, rng, std::exp(3 * static_cast<double>(rng.normal())));
      x[rng.below(x.size())] *= 30;  // an outlier, as hidden states have them
      one += check(*screen, head, x, 1);
      many += check(*screen, head, x, 1 + static_cast<int64_t>(rng.below(64)), &together);
    }
    // On random rows, 400 inputs: one candidate mostly, and few more than k (32 in the mean).
    EXPECT_LT(one, 480) << layout->name;
    EXPECT_GE(one, 400);
    EXPECT_LT(many, 17000) << layout->name;
    EXPECT_GT(many, 10000);
    // Weights in bfloat16 say less.
    if (screen->screens(64)) {
      EXPECT_LT(together, 40000) << layout->name;
      EXPECT_GT(together, 2 * many);
    }
  }
}

// Rows that are equal or differ in the smallest way that the layout has, among others that matter less.
TEST(HeadScreen, KeepsTiesAndNearTies) {
  SKIP_WITHOUT_KERNELS();
  Rng rng(2);
  for (const PackedLayout* layout : kLayouts) {
    constexpr int64_t K = 768, V = 1500;
    const Head random(*layout, normal(V * K, rng), K);
    for (int run = 0; run < 40; ++run) {
      Head head = random;
      head.matrix.data = head.bytes.data();
      const std::vector<float> x = normal(K, rng);
      const int32_t top = head.best(x.data(), 1)[0];
      for (int copy = 0; copy < 30; ++copy) {
        uint8_t* row = head.row(static_cast<int64_t>(rng.below(V)));
        std::copy_n(head.row(top), head.matrix.row_bytes(K), row);
        // The last bit of a code (in Q6_K of two) or, in Q8_0 now and then, of a scale's fraction.
        if (copy % 3 != 0) row[copy % 3 == 1 ? 5 : 0] ^= 1;
      }
      auto screen = screen_of(head);
      for (const int64_t k : {1, 2, 10, 31, 64}) EXPECT_GE(check(*screen, head, x, k), k);
    }
  }
}

// Two rows of the largest codes there are, and an input whose every rounding lowers the one and raises the other: the
// error comes as near to the bound as it can. The screen has them in the wrong order, and must keep both.
TEST(HeadScreen, KeepsWhatEveryRoundingSpeaksAgainst) {
  SKIP_WITHOUT_KERNELS();
  for (const PackedLayout* layout : kLayouts) {
    constexpr int64_t K = 256, V = 512;
    Head head(*layout, std::vector<float>(V * K, 0.0f), K);
    const bool q8 = layout == &kQ8_0;
    const float most = q8 ? 127 : 31 * 127;  // of a weight; scales are 1
    const auto set = [&](int64_t r, int64_t i, bool positive) {
      if (q8) {
        uint8_t* block = head.row(r) + i / 32 * 34;
        block[1] = 0x3C;
        block[2 + i % 32] = static_cast<uint8_t>(static_cast<int8_t>(positive ? 127 : -127));
        return;
      }
      uint8_t* block = head.row(r);
      block[209] = 0x3C;
      block[192 + i / 16] = 127;
      const int64_t half = i / 128, run = i % 128 / 32, l = i % 32;  // quant/layout_q6_k.cpp
      const int code = positive ? 63 : 1;
      uint8_t &low = block[64 * half + run % 2 * 32 + l], &high = block[128 + 32 * half + l];
      low = static_cast<uint8_t>((low & ~(15 << (run / 2 * 4))) | (code & 15) << (run / 2 * 4));
      high = static_cast<uint8_t>((high & ~(3 << (2 * run))) | code >> 4 << (2 * run));
    };
    std::vector<float> x(K);
    for (int64_t i = 0; i < K; ++i) {
      set(100, i, true);
      set(300, i, i < 2);
      x[static_cast<size_t>(i)] = 0.49f;
    }
    x[0] = 127 * 256 + 127;  // the step is one
    // By 2 x 254 x 0.49 the first row is ahead in truth; the second is in the screen.
    for (int64_t i = 0; i < K; ++i) set(100, 1, false);
    x[1] = 122;
    const std::vector<float> y = head.products(x.data());
    ASSERT_GT(y[100], y[300]);
    ASSERT_LT(y[100] - y[300], 6 * most);
    auto screen = screen_of(head);
    std::vector<std::vector<int32_t>> found;
    screen->candidates({x.data(), 1, K}, 1, found);
    EXPECT_EQ(found[0], (std::vector<int32_t>{100, 300})) << layout->name;
  }
}

// The same of several inputs: every weight of one row is rounded down to bfloat16, every other up.
TEST(HeadScreen, KeepsWhatEveryRoundingOfWeightsSpeaksAgainst) {
  if (kernels::active().many_screens[0].screen == nullptr)
    GTEST_SKIP() << "the active instruction set screens no floats";
  constexpr int64_t K = 256, V = 512;
  std::vector<float> weights(V * K, 0.0f);
  const auto set = [&](int64_t r, float value) {
    std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>(r * K), K, value);
  };
  set(100, 1 + 3.0f / 1024);  // one in bfloat16
  set(300, 1 + 5.0f / 1024);  // 1 + 8 / 1024
  weights[300 * K] -= (2 * K + 1) / 1024.0f;
  Head head(weights, DType::kF16, K);
  const std::vector<float> x(2 * K, 1.0f);
  const std::vector<float> y = head.products(x.data());
  ASSERT_GT(y[100], y[300]);
  ASSERT_LT(y[100] - y[300], 2.0f / 1024);
  auto screen = screen_of(head);
  std::vector<std::vector<int32_t>> found;
  screen->candidates({x.data(), 2, K}, 1, found);
  EXPECT_EQ(found[0], (std::vector<int32_t>{100, 300}));
  EXPECT_EQ(found[1], found[0]);
}

TEST(HeadScreen, FloatsAndFourBitsOfSeveralInputs) {
  if (kernels::active().many_screens[0].screen == nullptr)
    GTEST_SKIP() << "the active instruction set screens no floats";
  Rng rng(6);
  constexpr int64_t K = 512, V = 3000;
  const std::vector<float> weights = normal(V * K, rng, 0.02);
  const Head heads[] = {{weights, DType::kF16, K},
                        {weights, DType::kBF16, K},
                        {kQ4_0, weights, K},
                        {kQ4_K, weights, K}};
  for (const Head& head : heads) {
    auto screen = screen_of(head);
    ASSERT_TRUE(screen);
    EXPECT_FALSE(screen->screens(1));
    int64_t found = 0;
    for (const int64_t T : {2, 16, 17, 32}) {
      std::vector<float> x = normal(T * K, rng, 3);
      for (int64_t t = 0; t < T; t += 3) x[static_cast<size_t>(t * K + 5)] *= 50;
      check(*screen, head, x, 10, &found);
    }
    EXPECT_GE(found, 10 * 67);
    EXPECT_LT(found, 14 * 67);
  }
}

TEST(HeadScreen, ScalesOfAnySize) {
  SKIP_WITHOUT_KERNELS();
  Rng rng(3);
  for (const PackedLayout* layout : kLayouts) {
    constexpr int64_t K = 256, V = 1024;
    for (const double scale :
         {1e-9, 1e-6, 1.0, 1e4}) {  // the first: scales of blocks are zero or subnormal
      std::vector<float> weights = normal(V * K, rng, scale);
      for (int64_t r = 0; r < V; r += 7) {
        for (int64_t i = 0; i < K; ++i) weights[static_cast<size_t>(r * K + i)] *= 1e-3f;
      }
      const Head head(*layout, weights, K);
      auto screen = screen_of(head);
      for (const double size : {1e-44, 1e-38, 1e-20, 1.0, 1e20, 1e30}) {
        for (int run = 0; run < 5; ++run) {
          check(*screen, head, normal(K, rng, size), 1);
          check(*screen, head, normal(K, rng, size), 40);
        }
      }
    }
  }
}

// One row so much larger than the others that its norm makes every bound loose.
TEST(HeadScreen, OneRowOfAnotherSize) {
  SKIP_WITHOUT_KERNELS();
  Rng rng(4);
  for (const PackedLayout* layout : kLayouts) {
    constexpr int64_t K = 512, V = 2000;
    std::vector<float> weights = normal(V * K, rng, 0.01);
    for (int64_t i = 0; i < K; ++i) weights[static_cast<size_t>(77 * K + i)] *= 3000;
    const Head head(*layout, weights, K);
    auto screen = screen_of(head);
    for (int run = 0; run < 50; ++run) check(*screen, head, normal(K, rng), 20);
  }
}

TEST(HeadScreen, GivesUpWhereNothingCanBeLeftOut) {
  SKIP_WITHOUT_KERNELS();
  Rng rng(5);
  constexpr int64_t K = 256, V = 1024;
  const Head head(kQ6_K, normal(V * K, rng), K);
  auto screen = screen_of(head);
  EXPECT_EQ(check(*screen, head, std::vector<float>(K, 0.0f), 1), 0);  // all are equal
  for (const float value : {std::numeric_limits<float>::infinity(), std::nanf(""), 3e38f}) {
    std::vector<float> x = normal(K, rng);
    x[9] = value;
    EXPECT_EQ(check(*screen, head, x, 1), 0);
  }
  EXPECT_EQ(check(*screen, head, normal(K, rng), V), V);  // all are wanted
  Head same(kQ6_K, std::vector<float>(V * K, 0.5f), K);
  auto screen_of_same = screen_of(same);
  EXPECT_EQ(check(*screen_of_same, same, normal(K, rng), 3), 0);
}

TEST(HeadScreen, NothingForLayoutsWithoutAScreen) {
  StoredMatrix floats;
  EXPECT_FALSE(HeadScreen::of(floats, 4, 256));
  std::vector<uint8_t> block(34 * 3);
  StoredMatrix odd;
  odd.layout = &kQ8_0;
  odd.data = block.data();
  const auto screen = HeadScreen::of(odd, 1, 96);
  EXPECT_FALSE(screen && screen->screens(1));
}

}  // namespace
}  // namespace trit
