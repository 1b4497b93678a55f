#include <utility>

#include "kernels/cuda/test_rows.h"

namespace trit::cuda {
namespace {

constexpr Float kTypes[] = {Float::kF32, Float::kBF16};
constexpr int64_t kColumns[] = {3, 100, 512, 1000, 2048, 5461, 8192, 20000};

std::vector<float> gains(int64_t K) {
  std::vector<float> g = random_values(K, 77, 0.3f);
  for (float& x : g) x += 1.0f;
  return g;
}

TEST(CudaTrainingNorm, ForwardIsTheCpus) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float in : kTypes) {
    for (const Float out : kTypes) {
      for (const int64_t K : kColumns) {
        SCOPED_TRACE(
            fmt::format("K {}, types {} {}", K, static_cast<int>(in), static_cast<int>(out)));
        constexpr int64_t N = 5;
        const bool gain = K % 3 != 0, half = in == Float::kBF16;  // sums in float32
        const TestRows x(in, N, K, K % 2 == 0 ? 8 : 1, random_values(N * K, 5, 3.0f), s);
        const TestRows y(out, N, K, 8, s);
        const std::vector<float> g = gains(K);
        const DeviceMemory dg = on_device(g, s), r = poisoned<float>(N, s);
        rmsnorm_forward(s, x.rows(), N, K, gain ? dg.as<float>() : nullptr, 1e-5f, y.rows(),
                        r.as<float>());
        std::vector<float> want(static_cast<size_t>(N * K)), want_r;
        for (int64_t n = 0; n < N; ++n)
          want_r.push_back(
              scalar().rmsnorm(x.row(n), gain ? g.data() : nullptr, K, 1e-5f, want.data() + n * K));
        expect_near(y.download(), want, out, 2e-6f, 0);
        expect_near(on_host<float>(r, s), want_r, Float::kF32, half ? 2e-6f : 3e-7f, 0);
      }
    }
  }
}

TEST(CudaTrainingNorm, BackwardIsTheCpusAndTheSameEveryTime) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float type : kTypes) {
    for (const int64_t K : kColumns) {
      for (const auto& [N, gain, add] :
           {std::tuple{int64_t{7}, true, true}, std::tuple{int64_t{1}, false, false},
            std::tuple{int64_t{1300}, true, false}}) {
        if (N * K > 3000000) continue;
        SCOPED_TRACE(fmt::format("K {} N {} type {}", K, N, static_cast<int>(type)));
        const TestRows x(type, N, K, K % 8 == 0 ? 8 : 3, random_values(N * K, 5, 2.0f), s);
        const TestRows dy(type, N, K, 0, random_values(N * K, 6), s);
        const TestRows dx(type, N, K, 8, random_values(N * K, 7), s);
        const std::vector<float> g = gains(K);
        std::vector<float> dgain = random_values(K, 8), want = dx.values(), want_gain = dgain;
        const DeviceMemory dg = on_device(g, s), ddgain = on_device(dgain, s),
                           memory(norm_scratch_bytes(K));
        fill(memory.data(), 0x5A, memory.bytes(), s);
        std::vector<float> r, ignored(static_cast<size_t>(K));
        if (!add) want.assign(want.size(), 0.0f);
        for (int64_t n = 0; n < N; ++n) {
          r.push_back(scalar().rmsnorm(x.row(n), nullptr, K, 1e-5f, ignored.data()));
          scalar().rmsnorm_backward(x.row(n), gain ? g.data() : nullptr, dy.row(n), K, 1e-5f,
                                    want.data() + n * K, gain ? want_gain.data() : nullptr);
        }
        const DeviceMemory dr = on_device(r, s);
        const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
        rmsnorm_backward(s, x.rows(), dr.as<float>(), N, K, gain ? dg.as<float>() : nullptr,
                         dy.rows(), dx.rows(), add, gain ? ddgain.as<float>() : nullptr, scratch);
        expect_near(dx.download(), want, type, 1e-5f, 3e-6f);
        const std::vector<float> got = on_host<float>(ddgain, s);
        // A sum of N products about 1 in size, in two orders.
        expect_near(got, want_gain, Float::kF32, 1e-5f, 1e-6f * static_cast<float>(N));
        if (!gain) continue;
        copy_to_device(ddgain.data(), dgain.data(), ddgain.bytes(), s);
        rmsnorm_backward(s, x.rows(), dr.as<float>(), N, K, dg.as<float>(), dy.rows(), dx.rows(),
                         false, ddgain.as<float>(), scratch);
        EXPECT_EQ(on_host<float>(ddgain, s), got);
      }
    }
  }
}

// float32 rows give quantize_rows's bits; bfloat16 ones, with sums and factors in float32, next to always.
TEST(CudaTrainingNorm, QuantisesAsTheKernelOfInference) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const Float type : kTypes) {
    for (const int64_t K : kColumns) {
      for (int norms = 0; norms < 4; ++norms) {
        SCOPED_TRACE(fmt::format("K {} norms {} type {}", K, norms, static_cast<int>(type)));
        constexpr int64_t N = 6;
        const int64_t stride = (K + 127) / 128 * 128;
        const TestRows x(type, N, K, K % 8 == 0 ? 8 : 4, random_values(N * K, 5, 3.0f), s);
        const TestRows plain(Float::kF32, N, K, 0, x.values(), s);
        const TestRows u(type, N, K, 8, s), half(Float::kBF16, N, K, 8, s),
            again(Float::kF32, N, K, 0, s);
        const DeviceMemory gain = on_device(gains(K), s);
        const Norm outer{norms % 2 == 1, gain.as<float>(), 1e-5f},
            inner{norms >= 2, nullptr, 1e-5f};
        const DeviceMemory flag = on_device(std::vector<int32_t>{0}, s);
        const Scratch scratch{.not_finite = flag.as<int32_t>()};
        struct Out {
          DeviceMemory q, step, sum;
          QuantizedRows rows() const {
            return {q.as<int8_t>(), q.bytes() / N, step.as<double>(), sum.as<int32_t>()};
          }
        };
        const auto out = [&] {
          return Out{poisoned<int8_t>(N * stride, s), poisoned<double>(N, s),
                     poisoned<int32_t>(N, s)};
        };
        const Out want = out(), got = out();
        quantize_rows(s, static_cast<const float*>(plain.rows().data), K, N, K, outer, inner,
                      want.rows(), scratch);
        const DeviceMemory r = poisoned<float>(N, s), r2 = poisoned<float>(N, s);
        quantize_activations(s, x.rows(), N, K, outer, inner, got.rows(),
                             {u.rows(), r.as<float>(), r2.as<float>()}, scratch);
        const auto q = on_host<int8_t>(got.q, s);
        const auto step = on_host<double>(got.step, s);
        const auto want_q = on_host<int8_t>(want.q, s);
        const auto want_step = on_host<double>(want.step, s);
        const auto sum = on_host<int32_t>(got.sum, s);
        if (type == Float::kF32) {
          EXPECT_EQ(q, want_q);
          EXPECT_EQ(step, want_step);
          EXPECT_EQ(sum, on_host<int32_t>(want.sum, s));
        }
        int others = 0;
        for (size_t i = 0; i < q.size(); ++i) {
          ASSERT_LE(std::abs(q[i] - want_q[i]), 1) << i;
          others += q[i] != want_q[i];
        }
        // Ties, which are frequent among values of 8 bits, fall either way.
        EXPECT_LE(others, static_cast<int>(q.size() / 200) + 1);
        for (size_t n = 0; n < N; ++n) {
          EXPECT_NEAR(step[n] / want_step[n], 1.0, 2e-6);
          int32_t total = 0;
          for (int64_t k = 0; k < stride; ++k)
            total += q[n * static_cast<size_t>(stride) + static_cast<size_t>(k)];
          EXPECT_EQ(sum[n], total);
        }
        EXPECT_EQ(on_host<int32_t>(flag, s)[0], 0);
        std::vector<float> values(static_cast<size_t>(N * K));
        for (int64_t n = 0; n < N; ++n)
          scalar().scale_i8(q.data() + n * stride, step[static_cast<size_t>(n)], K,
                            values.data() + n * K);
        if (type == Float::kF32)
          EXPECT_EQ(u.download(), values);
        else
          expect_near(u.download(), values, type, 1e-6f, 0);
        dequantize_activations(s, got.rows(), N, K, again.rows());
        EXPECT_EQ(again.download(), values);
        dequantize_activations(s, got.rows(), N, K, half.rows());
        expect_near(half.download(), values, Float::kBF16, 0, 0);
        if (norms == 0) continue;
        std::vector<float> want_r, ignored(static_cast<size_t>(K));
        for (int64_t n = 0; n < N; ++n)
          want_r.push_back(scalar().rmsnorm(x.row(n), nullptr, K, 1e-5f, ignored.data()));
        expect_near(on_host<float>(norms == 2 ? r2 : r, s), want_r, Float::kF32,
                    type == Float::kF32 ? 3e-7f : 2e-6f, 0);
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda
