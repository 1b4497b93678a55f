#include <utility>

#include "kernels/cuda/test_rows.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

constexpr Float kTypes[] = {Float::kF32, Float::kBF16};

TEST(CudaTrainingRows, EmbeddingForwardAndBackward) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  constexpr int64_t N = 517, V = 40;
  for (const Float type : kTypes) {
    for (const int64_t K : {5, 1032, 2048}) {
      SCOPED_TRACE(fmt::format("K {} type {}", K, static_cast<int>(type)));
      Rng rng(3);
      std::vector<int32_t> tokens;
      // One token more often than others, several not at all.
      for (int64_t n = 0; n < N; ++n)
        tokens.push_back(rng.below(3) == 0 ? 7 : static_cast<int32_t>(rng.below(V / 2) * 2));
      const DeviceMemory dtokens = on_device(tokens, s),
                         order = on_device(token_order(tokens, V), s);
      const TestRows table(type, V, K, 0, random_values(V * K, 1), s), y(type, N, K, 8, s);
      embedding_forward(s, table.rows(), dtokens.as<int32_t>(), N, K, y.rows());
      const std::vector<float> got = y.download();
      const TestRows dy(type, N, K, 0, random_values(N * K, 2), s);
      std::vector<float> want = random_values(V * K, 4);
      const DeviceMemory dtable = on_device(want, s);
      for (int64_t n = 0; n < N; ++n) {
        const int64_t token = tokens[static_cast<size_t>(n)];
        ASSERT_EQ(std::memcmp(got.data() + n * K, table.row(token), static_cast<size_t>(K) * 4), 0);
        scalar().add(dy.row(n), K, want.data() + token * K);
      }
      embedding_backward(s, dtokens.as<int32_t>(), order.as<int32_t>(), N, K, dy.rows(),
                         dtable.as<float>());
      EXPECT_EQ(on_host<float>(dtable, s), want);  // the CPU's order, so its bits
    }
  }
}

TEST(CudaTrainingRows, RotatesHeadsToTheirPositionAndBack) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float type : kTypes) {
    for (const auto& [heads, D] : {std::pair{3, 64}, std::pair{2, 100}, std::pair{1, 6}}) {
      const int64_t T = 37, N = 2 * T, K = heads * D;
      SCOPED_TRACE(fmt::format("D {} type {}", D, static_cast<int>(type)));
      const TestRows x(type, N, K, 16, random_values(N * K, 1), s);
      const std::vector<float> cosine = random_values(T * D / 2, 2),
                               sine = random_values(T * D / 2, 3);
      const DeviceMemory dc = on_device(cosine, s), ds = on_device(sine, s);
      std::vector<float> want = x.values();
      for (const float direction : {1.0f, -1.0f}) {
        rotate_positions(s, x.rows(), N, T, heads, D, dc.as<float>(), ds.as<float>(), direction);
        for (int64_t i = 0; i < N * heads; ++i) {
          const int64_t at = i / heads % T * (D / 2);
          scalar().rotate(want.data() + i * D, cosine.data() + at, sine.data() + at, D, direction);
        }
        for (float& v : want) v = rounded(type, v);
        EXPECT_EQ(x.download(), want);
      }
    }
  }
}

TEST(CudaTrainingRows, AddConvertAndScale) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float a : kTypes) {
    for (const Float b : kTypes) {
      for (const int64_t K : {1, 24, 333}) {
        constexpr int64_t N = 19;
        const TestRows x(a, N, K, 8, random_values(N * K, 1), s),
            z(b, N, K, 5, random_values(N * K, 2), s), sum(b, N, K, 8, s), scaled(b, N, K, 3, s),
            converted(b, N, K, 0, s);
        const std::vector<float> factors = random_values(N, 3);
        const DeviceMemory df = on_device(factors, s);
        add_rows(s, x.rows(), z.rows(), N, K, sum.rows());
        convert_rows(s, x.rows(), N, K, converted.rows());
        scale_rows(s, x.rows(), df.as<float>(), N, K, scaled.rows());
        std::vector<float> want_sum, want_converted, want_scaled;
        for (int64_t i = 0; i < N * K; ++i) {
          const float v = x.values()[static_cast<size_t>(i)];
          want_sum.push_back(rounded(b, v + z.values()[static_cast<size_t>(i)]));
          want_converted.push_back(rounded(b, v));
          want_scaled.push_back(rounded(b, v * factors[static_cast<size_t>(i / K)]));
        }
        EXPECT_EQ(sum.download(), want_sum);
        EXPECT_EQ(converted.download(), want_converted);
        EXPECT_EQ(scaled.download(), want_scaled);
      }
    }
  }
}

TEST(CudaTrainingRows, UnpacksLevels) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float type : kTypes) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{48, 640}, {32, 131}}) {
      Rng rng(5);
      std::vector<int8_t> levels(static_cast<size_t>(rows * columns));
      for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
      std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns))),
          tiles(static_cast<size_t>(mma_bytes(rows, columns)));
      pack_trits(levels, rows, columns, packed);
      mma_tile_trits(packed, rows, columns, tiles.data(), mma_tile_bytes(columns));
      std::vector<float> scales = {0.25f, 3.0f, 7.0f};
      const DeviceMemory dtiles = on_device(tiles, s), dscales = on_device(scales, s);
      for (const bool scaled : {false, true}) {
        const TestRows y(type, rows, columns, 4, s);
        unpack_levels(s, {dtiles.as<uint8_t>(), dscales.as<float>(), rows, columns}, scaled,
                      y.rows());
        std::vector<float> want;
        for (int64_t i = 0; i < rows * columns; ++i)
          want.push_back(static_cast<float>(levels[static_cast<size_t>(i)]) *
                         (scaled ? scales[static_cast<size_t>(i / columns / 16)] : 1.0f));
        EXPECT_EQ(y.download(), want);
      }
    }
  }
}

int64_t gate_column(GatePlaces places, int64_t f) {
  return places == GatePlaces::kHalves ? f : f / 16 * 32 + f % 16;
}

TEST(CudaTrainingGlu, ForwardAndBackwardAreTheCpus) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  constexpr int64_t N = 9;
  for (const Float type : kTypes) {
    for (const GatePlaces places : {GatePlaces::kHalves, GatePlaces::kBy16}) {
      for (const Epilogue act : {Epilogue::kSiluMul, Epilogue::kRelu2Mul}) {
        for (const int64_t F : {16, 333, 1376}) {
          SCOPED_TRACE(fmt::format("F {} type {} places {} act {}", F, static_cast<int>(type),
                                   static_cast<int>(places), static_cast<int>(act)));
          const bool halves = places == GatePlaces::kHalves, silu = act == Epilogue::kSiluMul;
          const int64_t columns = halves ? 2 * F : (F + 15) / 16 * 32;
          const TestRows x(type, N, columns, 8, random_values(N * columns, 1, 3.0f), s);
          const TestRows dy(type, N, F, 0, random_values(N * F, 2), s), y(type, N, F, 8, s);
          const TestRows dx(type, N, columns, 0, s);
          glu_forward(s, x.rows(), places, N, F, act, y.rows());
          glu_backward(s, x.rows(), places, N, F, act, dy.rows(), dx.rows());
          std::vector<float> want(static_cast<size_t>(N * F)), want_gate = want, want_up = want;
          std::vector<float> got_gate, got_up;
          const std::vector<float> got = dx.download();
          for (int64_t n = 0; n < N; ++n) {
            std::vector<float> gate, up;
            for (int64_t f = 0; f < F; ++f) {
              const int64_t g = gate_column(places, f), u = g + (halves ? F : 16);
              gate.push_back(x.row(n)[g]);
              up.push_back(x.row(n)[u]);
              got_gate.push_back(got[static_cast<size_t>(n * columns + g)]);
              got_up.push_back(got[static_cast<size_t>(n * columns + u)]);
            }
            const auto& forward = silu ? scalar().silu_mul : scalar().relu2_mul;
            const auto& backward = silu ? scalar().silu_mul_backward : scalar().relu2_mul_backward;
            forward(gate.data(), up.data(), F, want.data() + n * F);
            backward(gate.data(), up.data(), dy.row(n), F, want_gate.data() + n * F,
                     want_up.data() + n * F);
          }
          if (type == Float::kF32) {
            EXPECT_EQ(y.download(), want);
            EXPECT_EQ(got_gate, want_gate);
            EXPECT_EQ(got_up, want_up);
          } else {  // 1 + g (1 - s) cancels near g = -1.3: what the quick exp is off weighs more there
            expect_near(y.download(), want, type, 1e-5f, 1e-6f);
            expect_near(got_gate, want_gate, type, 1e-5f, 1e-5f);
            expect_near(got_up, want_up, type, 1e-5f, 1e-6f);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda
