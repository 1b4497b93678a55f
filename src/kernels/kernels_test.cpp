#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "base/tensor.h"
#include "quant/packing.h"
#include "quant/tiles.h"

namespace trit::kernels {
namespace {

using Floats = std::vector<float>;
constexpr int64_t kSizes[] = {1, 2, 15, 16, 17, 48, 64, 100, 128, 160, 257, 688};

Floats random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  Rng rng(seed);
  Floats x(static_cast<size_t>(n));
  for (float& v : x) v = scale * rng.normal();
  return x;
}

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs `kernel` (table -> everything it wrote) on every instruction set; all must equal the scalar one.
void expect_same_bits_everywhere(const std::function<Floats(const Table&)>& kernel) {
  const Floats specification = kernel(table(Isa::kScalar));
  for (const Isa isa : available())
    EXPECT_TRUE(same_bits(kernel(table(isa)), specification)) << to_string(isa);
}

struct TernaryCase {
  int64_t rows, row_bytes, T;
  std::vector<uint8_t> w;
  std::vector<int8_t> x;
  std::vector<int32_t> sums;
};

TernaryCase ternary_case(int64_t rows, int64_t runs, int64_t T, uint64_t seed) {
  Rng rng(seed);
  TernaryCase c{rows, runs * 32, T, {}, {}, {}};
  c.w.resize(static_cast<size_t>(rows * c.row_bytes));
  for (auto& byte : c.w) {
    for (int plane = 0; plane < 4; ++plane)
      byte = static_cast<uint8_t>(byte | rng.below(3) << (2 * plane));
  }
  c.x.resize(static_cast<size_t>(T * 4 * c.row_bytes));
  for (auto& v : c.x) v = static_cast<int8_t>(static_cast<int>(rng.below(256)) - 128);
  for (int64_t t = 0; t < T; ++t) {
    int32_t sum = 0;
    for (int64_t k = 0; k < 4 * c.row_bytes; ++k)
      sum += c.x[static_cast<size_t>(t * 4 * c.row_bytes + k)];
    c.sums.push_back(sum);
  }
  return c;
}

TEST(TernaryGemm, EqualsTheSumOfLevelsTimesActivationsOnEveryInstructionSet) {
  for (const int64_t rows : {1, 3, 4, 7, 17, 32, 45}) {
    for (const int64_t runs : {1, 2, 3, 8, 17}) {
      for (const int64_t T : {1, 5, 8, 19}) {
        const TernaryCase c = ternary_case(rows, runs, T, static_cast<uint64_t>(rows * 100 + runs));
        // The definition, from the packing's description: byte b of a run holds elements b, 32+b, 64+b, 96+b.
        std::vector<int32_t> expected(static_cast<size_t>(T * rows));
        for (int64_t t = 0; t < T; ++t) {
          for (int64_t r = 0; r < rows; ++r) {
            int64_t dot = 0;
            for (int64_t k = 0; k < runs * 128; ++k) {
              const int64_t byte = k / 128 * 32 + k % 32, shift = k % 128 / 32 * 2;
              const int code = c.w[static_cast<size_t>(r * c.row_bytes + byte)] >> shift & 3;
              dot += (code - 1) * c.x[static_cast<size_t>(t * runs * 128 + k)];
            }
            expected[static_cast<size_t>(t * rows + r)] = static_cast<int32_t>(dot);
          }
        }
        for (const Isa isa : available()) {
          std::vector<int32_t> y(static_cast<size_t>(T * rows), -1);
          table(isa).ternary_gemm_i8(c.w.data(), rows, c.row_bytes, c.x.data(), c.sums.data(), T,
                                     y.data(), rows);
          EXPECT_EQ(y, expected) << to_string(isa) << " rows " << rows << " runs " << runs;
        }
      }
    }
  }
}

// The largest sums that can occur must not overflow any kernel's narrow lanes.
TEST(TernaryGemm, ExtremeActivations) {
  for (const int value : {-128, 127}) {
    TernaryCase c = ternary_case(4, 40, 1, 5);
    std::fill(c.x.begin(), c.x.end(), static_cast<int8_t>(value));
    std::fill(c.w.begin(), c.w.end(), static_cast<uint8_t>(0b10101010));  // all +1
    c.sums[0] = value * 40 * 128;
    for (const Isa isa : available()) {
      std::vector<int32_t> y(4);
      table(isa).ternary_gemm_i8(c.w.data(), 4, c.row_bytes, c.x.data(), c.sums.data(), 1, y.data(),
                                 4);
      EXPECT_EQ(y, std::vector<int32_t>(4, value * 40 * 128)) << to_string(isa);
    }
  }
}

// A product from tiles: levels and activations at random, or the extremes that `fill` gives for both.
struct TileCase {
  TileCase(TileForm f, int64_t r, int64_t k, int64_t t, std::optional<int8_t> level = {},
           std::optional<int8_t> activation = {})
      : form(f), rows(r), columns(k), T(t), x_stride(activation_stride(k)) {
    Rng rng(static_cast<uint64_t>(rows * 10000 + columns));
    levels.resize(static_cast<size_t>(rows * columns));
    for (auto& v : levels)
      v = level.value_or(static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1));
    x.resize(static_cast<size_t>(T * x_stride));
    sums.resize(static_cast<size_t>(T));
    for (int64_t i = 0; i < T * columns; ++i) {
      auto& v = x[static_cast<size_t>(i / columns * x_stride + i % columns)];
      v = activation.value_or(static_cast<int8_t>(static_cast<int>(rng.below(256)) - 128));
      sums[static_cast<size_t>(i / columns)] += v;
    }
    std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns)));
    pack_trits(levels, rows, columns, packed);
    tiles = Buffer<uint8_t>(static_cast<size_t>(tiled_bytes(form, rows, columns)));
    tile_trits(form, packed, rows, columns, 0, {tiles.data(), tiles.size()});
  }

  std::vector<int32_t> by_definition() const {
    std::vector<int32_t> y;
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        int64_t dot = 0;
        for (int64_t k = 0; k < columns; ++k)
          dot += levels[static_cast<size_t>(r * columns + k)] *
                 x[static_cast<size_t>(t * x_stride + k)];
        y.push_back(static_cast<int32_t>(dot));
      }
    }
    return y;
  }

  std::vector<int32_t> run(const Table& kernel) const {
    const int64_t count = row_tiles(form, rows), blocks = tile_blocks(form, columns);
    const int64_t y_stride = count * tile_rows(form) + 3;
    std::vector<int32_t> out(static_cast<size_t>(T * y_stride), -1), y;
    if (form == TileForm::kTwoBit) {
      kernel.two_bit_gemm_i8(tiles.data(), count, blocks, x.data(), x_stride, sums.data(), T,
                             out.data(), y_stride);
    } else {
      const int64_t bytes = T <= kernel.base3_table_rows ? blocks * kernel.base3_table_bytes : 0;
      Buffer<uint8_t> tables(static_cast<size_t>(T * bytes));
      for (int64_t t = 0; t < T && bytes > 0; ++t) {  // in two pieces, as threads would
        const int64_t first = blocks / 3;
        const int8_t* row = x.data() + t * x_stride;
        kernel.base3_tables(row, first, tables.data() + t * bytes);
        kernel.base3_tables(row + 5 * first, blocks - first,
                            tables.data() + t * bytes + first * kernel.base3_table_bytes);
      }
      kernel.base3_gemm_i8(tiles.data(), count, blocks, x.data(), x_stride, sums.data(),
                           bytes > 0 ? tables.data() : nullptr, T, out.data(), y_stride);
    }
    for (int64_t t = 0; t < T; ++t) {
      const auto row = out.begin() + t * y_stride;
      y.insert(y.end(), row, row + rows);
      EXPECT_TRUE(std::all_of(row + y_stride - 3, row + y_stride, [](int v) { return v == -1; }));
    }
    return y;
  }

  TileForm form;
  int64_t rows, columns, T, x_stride;
  std::vector<int8_t> levels, x;
  std::vector<int32_t> sums;
  Buffer<uint8_t> tiles;
};

void expect_exact_everywhere(const TileCase& c) {
  const std::vector<int32_t> expected = c.by_definition();
  for (const Isa isa : available()) {
    EXPECT_EQ(c.run(table(isa)), expected) << to_string(isa) << ' ' << trit::to_string(c.form)
                                           << ' ' << c.rows << " x " << c.columns << ", T " << c.T;
  }
}

TEST(TileGemm, EqualsTheSumOfLevelsTimesActivationsOnEveryInstructionSet) {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const int64_t rows : {1, 16, 40, 64, 130, 257}) {
      for (const int64_t columns : {1, 16, 100, 320, 1000}) {
        for (const int64_t T :
             {1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 17, 22, 23, 32, 33, 34, 35, 48, 49, 98, 100, 145}) {
          expect_exact_everywhere({form, rows, columns, T});
        }
      }
    }
  }
}

TEST(TileGemm, WideAndLong) {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    expect_exact_everywhere({form, 96, 9000, 1});
    expect_exact_everywhere({form, 64, 4100, 37});
    expect_exact_everywhere({form, 70, 530, 130});
    expect_exact_everywhere({form, 130, 700, 97});
    expect_exact_everywhere({form, 300, 1300, 513});
  }
}

// The largest sums that can occur must not overflow any kernel's narrow lanes.
TEST(TileGemm, ExtremeActivationsAndLevels) {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const int level : {-1, 0, 1}) {
      for (const int activation : {-128, 127}) {
        for (const int64_t T : {1, 2, 9}) {
          expect_exact_everywhere(
              {form, 64, 3000, T, static_cast<int8_t>(level), static_cast<int8_t>(activation)});
        }
      }
    }
  }
}

// Float activations and a scale for every run, against sums in double.
TEST(TernaryGemm, WithFloatActivationsEqualsTheDefinition) {
  for (const int64_t runs : {1, 2, 5}) {
    const int64_t rows = 7, T = 3, K = runs * 128;
    const TernaryCase c = ternary_case(rows, runs, T, 11);
    const Floats x = random_floats(T * K, 12), scales = random_floats(rows * runs, 13);
    const auto run = [&](const Table& k) {
      Floats y(static_cast<size_t>(T * rows));
      k.ternary_gemm_f32(c.w.data(), scales.data(), rows, c.row_bytes, x.data(), T, y.data(), rows);
      return y;
    };
    expect_same_bits_everywhere(run);
    const Floats y = run(table(Isa::kScalar));
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (int64_t k = 0; k < K; ++k) {
          const int64_t byte = k / 128 * 32 + k % 32, shift = k % 128 / 32 * 2;
          const int code = c.w[static_cast<size_t>(r * c.row_bytes + byte)] >> shift & 3;
          sum += (code - 1) * static_cast<double>(scales[static_cast<size_t>(r * runs + k / 128)]) *
                 static_cast<double>(x[static_cast<size_t>(t * K + k)]);
        }
        EXPECT_NEAR(y[static_cast<size_t>(t * rows + r)], sum, 2e-4);
      }
    }
  }
}

TEST(QuantizeI8, HandValues) {
  // absmax 2, so s = 63.5: 0.5 -> 31.75 -> 32; 1 -> 63.5 -> 64 (even); -2 -> -127; 0.02 -> 1.27 -> 1.
  const Floats x = {0.5f, 1.0f, -2.0f, 0.02f, 0.0f};
  std::vector<int8_t> q(128, 55);
  int32_t sum = 0;
  const double step = table(Isa::kScalar).quantize_i8(x.data(), 5, 128, q.data(), &sum);
  EXPECT_EQ(std::vector<int8_t>(q.begin(), q.begin() + 6),
            (std::vector<int8_t>{32, 64, -127, 1, 0, 0}));
  EXPECT_EQ(q[127], 0);
  EXPECT_EQ(sum, 32 + 64 - 127 + 1);
  EXPECT_DOUBLE_EQ(step, 2.0 / 127.0);
}

TEST(QuantizeI8, ZeroRowsTakeTheFloorAndBadRowsShow) {
  std::vector<int8_t> q(128);
  int32_t sum = 1;
  Floats x(20, 0.0f);
  EXPECT_DOUBLE_EQ(table(Isa::kScalar).quantize_i8(x.data(), 20, 128, q.data(), &sum),
                   static_cast<double>(1e-5f) / 127.0);
  EXPECT_EQ(sum, 0);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    x[18] = bad;
    for (const Isa isa : available()) {
      EXPECT_FALSE(std::isfinite(table(isa).quantize_i8(x.data(), 20, 128, q.data(), &sum)));
    }
  }
}

TEST(FloatRows, EveryInstructionSetGivesTheBitsOfTheSpecification) {
  for (const int64_t n : kSizes) {
    const Floats x = random_floats(n, 1, 3.0f), y = random_floats(n, 2), z = random_floats(n, 3);
    const size_t size = static_cast<size_t>(n);
    expect_same_bits_everywhere([&](const Table& k) {
      std::vector<int8_t> q(size + 3);
      int32_t sum = 0;
      Floats out = {static_cast<float>(k.quantize_i8(x.data(), n, n + 3, q.data(), &sum)),
                    static_cast<float>(sum)};
      out.insert(out.end(), q.begin(), q.end());
      Floats scaled(size);
      k.scale_i8(q.data(), 0.3f, n, scaled.data());
      out.insert(out.end(), scaled.begin(), scaled.end());
      return out;
    });
    expect_same_bits_everywhere([&](const Table& k) {
      Floats out(size);
      out.push_back(k.rmsnorm(x.data(), y.data(), n, 1e-5f, out.data()));
      return out;
    });
    for (const bool gain : {false, true}) {
      expect_same_bits_everywhere([&](const Table& k) {
        Floats dx(size, 0.5f), dgain(size, 0.25f);
        k.rmsnorm_backward(x.data(), gain ? y.data() : nullptr, z.data(), n, 1e-5f, dx.data(),
                           dgain.data());
        dx.insert(dx.end(), dgain.begin(), dgain.end());
        return dx;
      });
    }
    for (const auto row : {&Table::silu_mul, &Table::relu2_mul}) {
      expect_same_bits_everywhere([&](const Table& k) {
        Floats out(size);
        (k.*row)(x.data(), y.data(), n, out.data());
        return out;
      });
    }
    for (const auto row : {&Table::silu_mul_backward, &Table::relu2_mul_backward}) {
      expect_same_bits_everywhere([&](const Table& k) {
        Floats dgate(size), dup(size);
        (k.*row)(x.data(), y.data(), z.data(), n, dgate.data(), dup.data());
        dgate.insert(dgate.end(), dup.begin(), dup.end());
        return dgate;
      });
    }
    expect_same_bits_everywhere([&](const Table& k) {
      Floats out(2 * size);
      std::memcpy(out.data(), x.data(), size * sizeof(float));
      std::memcpy(out.data() + size, z.data(), size * sizeof(float));
      k.rotate(out.data(), y.data(), z.data(), 2 * n, -1.0f);
      return out;
    });
    for (const float scale : {0.0f, 0.125f}) {
      expect_same_bits_everywhere([&](const Table& k) {
        Floats logits = x;
        logits.push_back(k.cross_entropy(logits.data(), n, n / 2, scale));
        return logits;
      });
    }
    expect_same_bits_everywhere([&](const Table& k) {
      Floats out = z;
      k.add(x.data(), n, out.data());
      k.axpy(1.7f, y.data(), n, out.data());
      out.push_back(k.dot(x.data(), y.data(), n));
      Floats p(size);
      out.push_back(k.exp_row(x.data(), n, 0.7f, 0.2f, p.data()));
      out.insert(out.end(), p.begin(), p.end());
      return out;
    });
    expect_same_bits_everywhere([&](const Table& k) {
      Floats p = x, m = y, v = random_floats(n, 4);
      for (float& value : v) value *= value;
      k.adamw({0.9999f, 1e-2f, 0.9f, 0.1f, 0.95f, 0.05f, 4.5f, 1e-8f, 0.5f}, n, z.data(), p.data(),
              m.data(), v.data());
      p.insert(p.end(), m.begin(), m.end());
      p.insert(p.end(), v.begin(), v.end());
      return p;
    });
  }
}

TEST(FloatRows, DenseProductsGiveTheSameBitsForAnyNumberOfRowsAndTokens) {
  for (const int64_t K : {15, 64, 100}) {
    const int64_t rows = 9, T = 3;
    const Floats w = random_floats(rows * K, 1), x = random_floats(T * K, 2);
    std::vector<uint16_t> f16(w.size()), bf16(w.size());
    from_f32(DType::kF16, w.data(), w.size(), f16.data());
    from_f32(DType::kBF16, w.data(), w.size(), bf16.data());
    expect_same_bits_everywhere([&](const Table& k) {
      Floats y(static_cast<size_t>(3 * T * rows));
      k.dense_gemm_f32(w.data(), rows, K, x.data(), T, y.data(), rows);
      k.dense_gemm_f16(f16.data(), rows, K, x.data(), T, y.data() + T * rows, rows);
      k.dense_gemm_bf16(bf16.data(), rows, K, x.data(), T, y.data() + 2 * T * rows, rows);
      return y;
    });
    const Table& k = table(available().back());
    Floats all(static_cast<size_t>(T * rows)), single(1);
    k.dense_gemm_f16(f16.data(), rows, K, x.data(), T, all.data(), rows);
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        k.dense_gemm_f16(f16.data() + r * K, 1, K, x.data() + t * K, 1, single.data(), 1);
        EXPECT_EQ(single[0], all[static_cast<size_t>(t * rows + r)]);
        double exact = 0;
        for (int64_t i = 0; i < K; ++i) {
          exact += static_cast<double>(f16_to_f32(f16[static_cast<size_t>(r * K + i)])) *
                   static_cast<double>(x[static_cast<size_t>(t * K + i)]);
        }
        EXPECT_NEAR(single[0], exact, 1e-5 * static_cast<double>(K));
      }
    }
  }
}

TEST(FloatRows, ExponentialIsWithinTwoUlp) {
  Floats x, p;
  for (float v = -87.0f; v < 88.0f; v += 0.0137f) x.push_back(v);
  p.resize(x.size());
  table(Isa::kScalar).exp_row(x.data(), static_cast<int64_t>(x.size()), 1.0f, 0.0f, p.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    EXPECT_NEAR(p[i] / exact, 1.0, 2.5e-7) << x[i];
  }
}

TEST(FloatRows, HandValues) {
  const Table& k = table(Isa::kScalar);
  Floats y(2), dgate(2), dup(2);
  // RMS of (3, 4) is sqrt(12.5).
  k.rmsnorm(Floats{3, 4}.data(), Floats{1, 2}.data(), 2, 0.0f, y.data());
  EXPECT_NEAR(y[0], 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[1], 8 / std::sqrt(12.5), 1e-6);
  // silu(0) = 0, silu'(0) = 1/2; relu^2(3) = 9, its derivative 6.
  k.silu_mul(Floats{0, 2}.data(), Floats{5, 3}.data(), 2, y.data());
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_NEAR(y[1], 6 / (1 + std::exp(-2.0)), 1e-6);
  k.silu_mul_backward(Floats{0, 2}.data(), Floats{5, 3}.data(), Floats{1, 1}.data(), 2,
                      dgate.data(), dup.data());
  EXPECT_NEAR(dgate[0], 2.5, 1e-6);
  k.relu2_mul_backward(Floats{3, -1}.data(), Floats{2, 2}.data(), Floats{1, 1}.data(), 2,
                       dgate.data(), dup.data());
  EXPECT_EQ(dgate, (Floats{12, 0}));
  EXPECT_EQ(dup, (Floats{9, 0}));
  // A quarter turn maps (a, b) to (-b, a).
  Floats x = {1, 2};
  k.rotate(x.data(), Floats{0}.data(), Floats{1}.data(), 2, 1.0f);
  EXPECT_EQ(x, (Floats{-2, 1}));
  // Two equal logits: loss ln 2, gradient +-1/2.
  Floats logits = {7, 7};
  EXPECT_NEAR(k.cross_entropy(logits.data(), 2, 1, 1.0f), std::log(2.0), 1e-6);
  EXPECT_NEAR(logits[0], 0.5, 1e-6);
  EXPECT_NEAR(logits[1], -0.5, 1e-6);
  // First AdamW step, lr 0.1, decay 0.5: m = 0.1 g, v = 0.01 g^2, so p loses 5 % and moves by lr against
  // the sign of g.
  Floats p = {1.0f}, m = {0.0f}, v = {0.0f};
  k.adamw({0.95f, 1.0f, 0.9f, 0.1f, 0.99f, 0.01f, 10.0f, 0.0f, 1.0f}, 1, Floats{-4}.data(),
          p.data(), m.data(), v.data());
  EXPECT_NEAR(p[0], 1.0 * (1 - 0.1 * 0.5) + 0.1, 1e-6);
}

TEST(Isa, NamesAndOrder) {
  EXPECT_EQ(available().front(), Isa::kScalar);
  EXPECT_EQ(to_string(Isa::kAvx512Vnni), "avx512vnni");
  EXPECT_EQ(to_string(Isa::kI8mm), "i8mm");
}

// Where the machine is known, as it is under an emulator, so is what it must be found to run.
TEST(Isa, TheBestOfAKnownMachine) {
  const char* best = std::getenv("TRIT_TEST_BEST_ISA");
  if (best == nullptr) GTEST_SKIP() << "TRIT_TEST_BEST_ISA is not set";
  EXPECT_EQ(to_string(available().back()), best);
}

}  // namespace
}  // namespace trit::kernels
