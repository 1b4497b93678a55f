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

// Against the steps one by one, whose result in between is rounded to bfloat16.
TEST(CudaTrainingGlu, FusedWithNormAndQuantisationIsTheStepsOneByOne) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  constexpr Float kType = Float::kBF16;
  for (const GatePlaces places : {GatePlaces::kHalves, GatePlaces::kBy16}) {
    for (const Epilogue act : {Epilogue::kSiluMul, Epilogue::kRelu2Mul}) {
      for (const auto& [N, F] : {std::pair<int64_t, int64_t>{9, 16},
                                 {1, 1376},
                                 {1100, 344},
                                 {33, 2752},
                                 {5, 5464},
                                 {3, 8192}}) {
        SCOPED_TRACE(fmt::format("N {} F {} places {} act {}", N, F, static_cast<int>(places),
                                 static_cast<int>(act)));
        const bool gain = F != 1376;
        const int64_t columns = places == GatePlaces::kHalves ? 2 * F : (F + 15) / 16 * 32;
        const TestRows x(kType, N, columns, 8, random_values(N * columns, 1, 1.5f), s);
        const TestRows du(kType, N, F, 0, random_values(N * F, 2), s), m(kType, N, F, 8, s),
            dm(kType, N, F, 0, s), u(kType, N, F, 8, s), want_u(kType, N, F, 8, s),
            dx(kType, N, columns, 0, s), want_dx(kType, N, columns, 0, s);
        ASSERT_TRUE(gated_rows_fuse(places, F, {x.rows(), u.rows(), dx.rows()}));
        std::vector<float> gains = random_values(F, 3, 0.3f);
        for (float& g : gains) g += 1.0f;
        const DeviceMemory dg = on_device(gains, s), r = poisoned<float>(N, s),
                           want_r = poisoned<float>(N, s), memory(norm_scratch_bytes(F));
        const std::vector<float> zeros(static_cast<size_t>(F));
        const DeviceMemory dgain = on_device(zeros, s), want_dgain = on_device(zeros, s);
        const int64_t stride = (F + 127) / 128 * 128;
        const DeviceMemory q = poisoned<int8_t>(N * stride, s), step = poisoned<double>(N, s),
                           sum = poisoned<int32_t>(N, s);
        const QuantizedRows out{q.as<int8_t>(), stride, step.as<double>(), sum.as<int32_t>()};
        const Norm norm{true, gain ? dg.as<float>() : nullptr, 1e-5f};
        const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
        glu_quantize(s, x.rows(), places, N, F, act, norm, out, {u.rows(), r.as<float>(), nullptr},
                     scratch);
        const std::vector<int8_t> got_q = on_host<int8_t>(q, s);
        const std::vector<int32_t> got_sum = on_host<int32_t>(sum, s);
        glu_norm_backward(s, x.rows(), places, N, F, act, r.as<float>(), norm.gain, du.rows(),
                          dx.rows(), gain ? dgain.as<float>() : nullptr, scratch);
        glu_forward(s, x.rows(), places, N, F, act, m.rows());
        quantize_activations(s, m.rows(), N, F, norm, {}, out,
                             {want_u.rows(), want_r.as<float>(), nullptr}, scratch);
        rmsnorm_backward(s, m.rows(), want_r.as<float>(), N, F, norm.gain, du.rows(), dm.rows(),
                         false, gain ? want_dgain.as<float>() : nullptr, scratch);
        glu_backward(s, x.rows(), places, N, F, act, dm.rows(), want_dx.rows());

        const std::vector<int8_t> want_q = on_host<int8_t>(q, s);
        for (int64_t n = 0; n < N; ++n) {
          int32_t total = 0;
          for (int64_t f = 0; f < stride; ++f) {
            const auto at = static_cast<size_t>(n * stride + f);
            ASSERT_LE(std::abs(got_q[at] - want_q[at]), 1);
            total += got_q[at];
          }
          ASSERT_EQ(got_sum[static_cast<size_t>(n)], total);
        }
        expect_near(on_host<float>(r, s), on_host<float>(want_r, s), Float::kF32, 4e-3f, 0);
        const std::vector<float> want = want_u.download();
        float largest = 0;
        for (const float v : want) largest = std::max(largest, std::fabs(v));
        expect_near(u.download(), want, kType, 4e-3f, largest / 100);  // a level is a 127th
        float size = 0;
        const std::vector<float> want_gradient = want_dx.download();
        for (const float v : want_gradient) size = std::max(size, std::fabs(v));
        expect_near(dx.download(), want_gradient, kType, 8e-3f, size / 300);
        // Products of about 1 in size, each rounded to 2^-9.
        expect_near(on_host<float>(dgain, s), on_host<float>(want_dgain, s), Float::kF32, 4e-3f,
                    0.03f * std::sqrt(static_cast<float>(N)));
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda
