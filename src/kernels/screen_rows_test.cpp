#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "kernels/cpu/screen_rows.h"
#include "kernels/kernels.h"
#include "quant/layouts.h"

namespace trit::kernels {
namespace {

struct Row {
  const PackedLayout& layout;
  decltype(Table::screen_q8_0) Table::*screen;
};
const Row kRows[] = {{kQ8_0, &Table::screen_q8_0}, {kQ6_K, &Table::screen_q6_k}};

struct Input {
  std::vector<int8_t> high, low;
  std::vector<int16_t> high_runs, low_runs;
  std::vector<int32_t> high_fours, low_fours;
  ScreenInput view() const {
    return {high.data(),     low.data(),        high_runs.data(),
            low_runs.data(), high_fours.data(), low_fours.data()};
  }
};

void add_sums(const std::vector<int8_t>& x, std::vector<int16_t>& runs,
              std::vector<int32_t>& fours) {
  const auto sum = [&](size_t begin, size_t count) {
    int s = 0;
    for (size_t i = begin; i < begin + count; ++i) s += x[i];
    return s;
  };
  for (size_t block = 0; block + 256 <= x.size(); block += 256) {
    for (size_t i = 0; i < 32; ++i)
      runs.push_back(static_cast<int16_t>(-16 * sum(block + i % 16 * 16, 16)));
  }
  for (size_t i = 0; i < x.size(); i += 4) fours.push_back(-128 * sum(i, 4));
}

// Extremes: every value the largest, of one sign or of both.
Input input(int64_t K, int kind, Rng& rng) {
  Input in;
  for (std::vector<int8_t>* plane : {&in.high, &in.low}) {
    for (int64_t i = 0; i < K; ++i) {
      const int value = kind == 0   ? static_cast<int>(rng.below(255)) - 127
                        : kind == 1 ? 127
                        : kind == 2 ? -127
                                    : (rng.below(2) == 0 ? 127 : -127);
      plane->push_back(static_cast<int8_t>(value));
    }
  }
  add_sums(in.high, in.high_runs, in.high_fours);
  add_sums(in.low, in.low_runs, in.low_fours);
  return in;
}

// Any bytes are weights as long as the fp16 scale of a block is finite; a few blocks of nothing but the extremes.
std::vector<uint8_t> random_blocks(const PackedLayout& layout, int64_t blocks, Rng& rng) {
  std::vector<uint8_t> bytes(static_cast<size_t>(blocks * layout.bytes));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t* block = bytes.data() + b * layout.bytes;
    uint8_t* d = block + (&layout == &kQ6_K ? 208 : 0);
    if (b % 5 == 4) std::memset(block, b % 2 == 0 ? 0x80 : 0xFF, static_cast<size_t>(layout.bytes));
    if ((d[1] & 0x7C) == 0x7C) d[1] = static_cast<uint8_t>(d[1] & 0x83);
  }
  return bytes;
}

TEST(ScreenRows, SameBitsOnEveryInstructionSetAndNearTheProductOfDecodedWeights) {
  Rng rng(1);
  for (const auto& [layout, screen] : kRows) {
    for (const int64_t K : {256, 512, 1280, 2560, 64, 3200}) {
      if (K % layout.block != 0) continue;
      for (int kind = 0; kind < 4; ++kind) {
        constexpr int64_t kCount = 7;
        const std::vector<uint8_t> w = random_blocks(layout, kCount * K / layout.block, rng);
        const Input in = input(K, kind, rng);
        std::vector<float> expected(kCount), weights(static_cast<size_t>(kCount * K));
        (table(Isa::kScalar).*screen)(w.data(), kCount, K, in.view(), expected.data());
        decode_weights(layout, w, kCount, K, weights, "w");
        for (int64_t r = 0; r < kCount; ++r) {
          double exact = 0, absolute = 0;
          for (int64_t k = 0; k < K; ++k) {
            const auto i = static_cast<size_t>(k);
            const double term = static_cast<double>(weights[static_cast<size_t>(r * K + k)]) *
                                (256.0 * in.high[i] + in.low[i]);
            exact += term;
            absolute += std::fabs(term);
          }
          ASSERT_NEAR(expected[static_cast<size_t>(r)], exact, 4e-6 * absolute) << layout.name;
        }
        for (const Isa isa : available()) {
          if (table(isa).*screen == nullptr) continue;
          std::vector<float> y(kCount, -1.0f);
          (table(isa).*screen)(w.data(), kCount, K, in.view(), y.data());
          ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
              << layout.name << ' ' << to_string(isa) << " columns " << K << " input " << kind;
        }
      }
    }
  }
}

// A form of heads and how its rows are decoded.
struct ManyRow {
  HeadForm form;
  const PackedLayout* layout;
  DType type = DType::kF32;
  int64_t block() const { return layout ? layout->block : 32; }
  int64_t bytes() const { return layout ? layout->bytes : 64; }
};
const ManyRow kManyRows[] = {{HeadForm::kF16, nullptr, DType::kF16},
                             {HeadForm::kBf16, nullptr, DType::kBF16},
                             {HeadForm::kQ8_0, &kQ8_0},
                             {HeadForm::kQ6_K, &kQ6_K},
                             {HeadForm::kQ4_0, &kQ4_0},
                             {HeadForm::kQ4_K, &kQ4_K}};

// Stored rows of about normal weights, and what they decode to.
struct Stored {
  std::vector<uint8_t> bytes;
  std::vector<float> weights;

  Stored(const ManyRow& row, int64_t rows, int64_t K, Rng& rng)
      : bytes(static_cast<size_t>(rows * K / row.block() * row.bytes())),
        weights(static_cast<size_t>(rows * K)) {
    for (float& w : weights) w = 0.02f * static_cast<float>(rng.normal());
    if (row.layout != nullptr) {
      encode_weights(*row.layout, weights, rows, K, bytes, "w");
      decode_weights(*row.layout, bytes, rows, K, weights, "w");
    } else {
      from_f32(row.type, weights.data(), weights.size(), bytes.data());
      to_f32(row.type, bytes.data(), weights.size(), weights.data());
    }
  }
};

TEST(ManyScreens, SameBitsAsTheSpecificationAndNearTheProduct) {
  Rng rng(2);
  for (const ManyRow& row : kManyRows) {
    for (const int64_t K : {256, 768, 2560, 32, 1312}) {
      if (K % row.block() != 0) continue;
      for (const int64_t rows : {1, 32, 45, 77}) {
        const Stored head(row, rows, K, rng);
        for (const int64_t T : {1, 2, 16, 17, 32}) {
          std::vector<uint16_t> x(static_cast<size_t>(K / 32 * ((T + 15) / 16) * 1024));
          std::vector<double> input(static_cast<size_t>(T * K));
          for (int64_t k = 0; k < K; ++k) {
            for (int64_t t = 0; t < T; ++t) {
              uint16_t* at = x.data() + k / 32 * ((T + 15) / 16) * 1024 + t / 16 * 1024 +
                             k % 32 / 2 * 32 + t % 16 * 2 + k % 2;
              at[0] = f32_to_bf16(static_cast<float>(rng.normal()));
              at[512] = f32_to_bf16(static_cast<float>(rng.normal()) / 256);
              input[static_cast<size_t>(t * K + k)] = static_cast<double>(bf16_to_f32(at[0])) +
                                                      static_cast<double>(bf16_to_f32(at[512]));
            }
          }
          std::vector<float> expected(static_cast<size_t>(T * rows));
          many_screen_scalar(head.weights.data(), rows, K, x.data(), T, expected.data(), rows);
          for (int64_t i = 0; i < T * rows; ++i) {
            double exact = 0, absolute = 0;
            for (int64_t k = 0; k < K; ++k) {
              const auto w = static_cast<double>(
                  bf16_to_f32(f32_to_bf16(head.weights[static_cast<size_t>(i % rows * K + k)])));
              exact += w * input[static_cast<size_t>(i / rows * K + k)];
              absolute += std::fabs(w * input[static_cast<size_t>(i / rows * K + k)]);
            }
            ASSERT_NEAR(expected[static_cast<size_t>(i)], exact, 4e-6 * absolute);
          }
          for (const Isa isa : available()) {
            const ManyScreen& kernel = table(isa).many_screens[static_cast<int>(row.form)];
            if (kernel.screen == nullptr) continue;
            std::vector<float> y(expected.size(), -1.0f);
            kernel.screen(head.bytes.data(), rows, K, x.data(), T, y.data(), rows);
            ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
                << to_string(isa) << " form " << static_cast<int>(row.form) << " rows " << rows
                << " columns " << K << " tokens " << T;
          }
        }
      }
    }
  }
}

TEST(ManyScreens, ErrorsOfRounding) {
  Rng rng(3);
  for (const ManyRow& row : kManyRows) {
    constexpr int64_t kCount = 3, K = 768;
    const Stored head(row, kCount, K, rng);
    std::vector<float> error(kCount), norm(kCount);
    screen_errors_scalar(head.weights.data(), kCount, K, error.data(), norm.data());
    for (int64_t r = 0; r < kCount; ++r) {
      double ee = 0, ww = 0;
      for (int64_t k = 0; k < K; ++k) {
        const float w = head.weights[static_cast<size_t>(r * K + k)];
        const double e = static_cast<double>(w) - static_cast<double>(bf16_to_f32(f32_to_bf16(w)));
        ee += e * e;
        ww += static_cast<double>(w) * static_cast<double>(w);
      }
      EXPECT_NEAR(error[static_cast<size_t>(r)], ee, 1e-5 * ee);
      EXPECT_NEAR(norm[static_cast<size_t>(r)], ww, 1e-5 * ww);
    }
    for (const Isa isa : available()) {
      const ManyScreen& kernel = table(isa).many_screens[static_cast<int>(row.form)];
      if (kernel.errors == nullptr) continue;
      std::vector<float> e(kCount), n(kCount);
      kernel.errors(head.bytes.data(), kCount, K, e.data(), n.data());
      EXPECT_EQ(e, error) << to_string(isa) << " form " << static_cast<int>(row.form);
      EXPECT_EQ(n, norm);
    }
  }
}

}  // namespace
}  // namespace trit::kernels
