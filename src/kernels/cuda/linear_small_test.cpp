#include "kernels/cuda/linear_small.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

constexpr Epilogue kEpilogues[] = {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSiluMul,
                                   Epilogue::kRelu2Mul};
using small::of_pairs;

// A layer and float rows on the device, and what the CPU makes of them.
class Case {
 public:
  Case(int64_t rows, int64_t columns, int64_t tokens) : N(rows), K(columns), T(tokens) {
    Rng rng(static_cast<uint64_t>(N * 1000003 + K * 1009 + T));
    std::vector<int8_t> levels(static_cast<size_t>(N * K));
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    packed_.resize(static_cast<size_t>(N * packed_row_bytes(K)));
    pack_trits(levels, N, K, packed_);
    std::vector<uint8_t> tiles(static_cast<size_t>(mma_bytes(N, K)));
    mma_tile_trits(packed_, N, K, tiles.data(), mma_tile_bytes(K));
    for (int64_t i = 0; i < N / 16; ++i) scales_.push_back(0.01f + 0.1f * rng.uniform());
    for (int64_t i = 0; i < T * K; ++i) x_.push_back(rng.normal());
    for (int64_t i = 0; i < T * (N + 3); ++i) before_.push_back(rng.normal());
    layer_ = {upload<uint8_t>(tiles), upload<float>(scales_), N, K};
    x_at_ = upload<float>(x_);
    q_stride_ = mma_blocks(K) * 128;
    q_ = {room<int8_t>(T * q_stride_), q_stride_, room<double>(T), room<int32_t>(T)};
    quantize_rows(stream_.handle(), x_at_, K, T, K, {}, {}, q_, {});
  }

  std::vector<float> expected(Epilogue epilogue) const {
    const kernels::Table& cpu = kernels::table(kernels::Isa::kScalar);
    std::vector<int8_t> q(static_cast<size_t>(T * padded_columns(K)));
    std::vector<int32_t> sum(static_cast<size_t>(T)), sums(static_cast<size_t>(T * N));
    std::vector<double> step(static_cast<size_t>(T));
    for (size_t t = 0; t < static_cast<size_t>(T); ++t)
      step[t] = cpu.quantize_i8(&x_[t * static_cast<size_t>(K)], K, padded_columns(K),
                                &q[t * static_cast<size_t>(padded_columns(K))], &sum[t]);
    cpu.ternary_gemm_i8(packed_.data(), N, packed_row_bytes(K), q.data(), sum.data(), T,
                        sums.data(), N);
    std::vector<float> y = before_;
    for (int64_t t = 0; t < T; ++t) {
      std::vector<float> v(static_cast<size_t>(N));
      for (int64_t i = 0; i < N / 16; ++i)
        cpu.scale_i32(
            &sums[static_cast<size_t>(t * N + i * 16)],
            step[static_cast<size_t>(t)] * static_cast<double>(scales_[static_cast<size_t>(i)]), 16,
            &v[static_cast<size_t>(i * 16)]);
      float* row = &y[static_cast<size_t>(t * (N + 3))];
      if (epilogue == Epilogue::kStore) std::memcpy(row, v.data(), v.size() * sizeof(float));
      if (epilogue == Epilogue::kAdd) cpu.add(v.data(), N, row);
      if (!of_pairs(epilogue)) continue;
      const auto mul = epilogue == Epilogue::kSiluMul ? cpu.silu_mul : cpu.relu2_mul;
      for (int64_t i = 0; i + 32 <= N; i += 32)
        mul(&v[static_cast<size_t>(i)], &v[static_cast<size_t>(i + 16)], 16, row + i / 2);
    }
    return y;
  }

  // What `way` makes of y, which begins as before_.
  template <class Way>
  std::vector<float> on_device(Way way) {
    float* y = upload<float>(before_);
    way(stream_.handle(), y);
    std::vector<float> result(before_.size());
    copy_to_host(result.data(), y, static_cast<int64_t>(result.size() * sizeof(float)),
                 stream_.handle());
    stream_.wait();
    memory_.pop_back();
    return result;
  }
  small::Product product(Epilogue epilogue, float* y) const {
    return {layer_, q_, T, epilogue, y, N + 3};
  }
  const TernaryLayer& layer() const { return layer_; }
  const float* x() const { return x_at_; }
  // x quantised anew, behind norm.
  const QuantizedRows& quantised(const Norm& norm) {
    quantize_rows(stream_.handle(), x_at_, K, T, K, norm, {}, q_, {});
    return q_;
  }
  Stream& stream() { return stream_; }
  template <class V>
  V* upload(const std::vector<V>& host) {
    V* at = room<V>(static_cast<int64_t>(host.size()));
    copy_to_device(at, host.data(), static_cast<int64_t>(host.size() * sizeof(V)),
                   stream_.handle());
    return at;
  }
  template <class V>
  V* room(int64_t elements) {
    memory_.emplace_back(elements * static_cast<int64_t>(sizeof(V)));
    fill(memory_.back().data(), 0x5A, memory_.back().bytes(), stream_.handle());
    return memory_.back().as<V>();
  }
  template <class V>
  std::vector<V> download(const V* from, int64_t count) {
    std::vector<V> host(static_cast<size_t>(count));
    copy_to_host(host.data(), from, count * static_cast<int64_t>(sizeof(V)), stream_.handle());
    stream_.wait();
    return host;
  }

  const int64_t N, K, T;

 private:
  Stream stream_;
  std::vector<DeviceMemory> memory_;
  std::vector<uint8_t> packed_;
  std::vector<float> scales_, x_, before_;
  TernaryLayer layer_;
  const float* x_at_ = nullptr;
  int64_t q_stride_ = 0;
  QuantizedRows q_;
};

// How many elements have other bits, and the first of them.
std::string difference(const Case& c, const std::vector<float>& y,
                       const std::vector<float>& expected) {
  int64_t wrong = 0;
  std::string first;
  for (size_t i = 0; i < y.size(); ++i) {
    if (std::memcmp(&y[i], &expected[i], sizeof(float)) == 0) continue;
    if (wrong++ == 0)
      first =
          fmt::format("row {} column {}: {} in place of {}", static_cast<int64_t>(i) / (c.N + 3),
                      static_cast<int64_t>(i) % (c.N + 3), y[i], expected[i]);
  }
  return wrong == 0 ? "" : fmt::format("{} of {} differ; {}", wrong, y.size(), first);
}

struct Size {
  int64_t N, K;
};
constexpr Size kSizes[] = {{16, 1},     {32, 200},   {48, 130},    {160, 640},   {2560, 2560},
                           {272, 6912}, {800, 3200}, {5120, 1000}, {160, 28672}, {8192, 1536}};

TEST(CudaLinearSmall, GivesTheCpusBits) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Size& size : kSizes) {
    for (const int64_t T : {1, 2, 3, 7, 8}) {
      Case c(size.N, size.K, T);
      for (const Epilogue epilogue : kEpilogues) {
        if (of_pairs(epilogue) && c.N % 32 != 0) continue;
        SCOPED_TRACE(fmt::format("{} x {} T {} epilogue {}", c.N, c.K, T, int(epilogue)));
        const std::vector<float> expected = c.expected(epilogue);
        EXPECT_EQ(difference(c, c.on_device([&](StreamHandle s, float* y) {
                    const small::Product p = c.product(epilogue, y);
                    ternary_linear_small(s, p.layer, p.x, T, epilogue, y, p.y_stride, {});
                  }),
                             expected),
                  "");
        if (T > 1) continue;
        EXPECT_EQ(
            difference(c, c.on_device([&](StreamHandle s, float* y) {
              ternary_linear_single(s, c.layer(), {c.x(), {}, {}}, epilogue, {y, nullptr, {}}, {});
            }),
                       expected),
            "")
            << "single";
      }
    }
  }
}

TEST(CudaLinearSmall, EveryCutGivesTheSame) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Size& size : {Size{96, 2048}, Size{640, 700}}) {
    for (const int64_t T : {1, 5}) {
      Case c(size.N, size.K, T);
      for (const Epilogue epilogue : {Epilogue::kAdd, Epilogue::kSiluMul}) {
        const std::vector<float> expected = c.expected(epilogue);
        for (const int warps : {8, 16}) {
          for (const int depth : small::kDepths) {
            for (const int blocks : {1, 3, 40}) {
              const small::Cut cut{warps, depth, blocks};
              SCOPED_TRACE(fmt::format("{} x {} T {} warps {} depth {} blocks {}", c.N, c.K, T,
                                       warps, depth, blocks));
              EXPECT_EQ(difference(c, c.on_device([&](StreamHandle s, float* y) {
                          small::multiply(s, c.product(epilogue, y), cut);
                        }),
                                   expected),
                        "");
            }
          }
        }
      }
    }
  }
}

// The same bits as rows that are normed and quantised by a kernel of their own, whether the block looks at the whole row
// or is handed what the product before left; and that is what it is said to be.
TEST(CudaLinearSingle, IsQuantizeRowsAndAProduct) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Size& size :
       {Size{32, 1}, Size{64, 130}, Size{320, 1536}, Size{2048, 2048}, Size{160, 3200},
        Size{4800, 4096}, Size{96, 5460}, Size{160, 6912}, Size{64, 11008}, Size{64, 13824},
        Size{96, 28672}, Size{32, 32768}, Size{64000, 64}}) {
    Case c(size.N, size.K, 1);
    Rng rng(7);
    std::vector<float> gains;
    for (int64_t i = 0; i < mma_tiles(c.K) * kMmaRows; ++i)
      gains.push_back(1.0f + 0.3f * rng.normal());
    const float* gain = c.upload(gains);
    // A product that leaves this x: y = 0 + x.
    Case before(mma_tiles(c.K) * kMmaRows, 16, 1);
    const StreamHandle stream = before.stream().handle();
    float* copy = before.room<float>(before.N);
    const float* zero = before.upload(std::vector<float>(16));
    fill(copy, 0, before.N * 4, stream);
    c.stream().wait();
    copy_on_device(copy, c.x(), c.K * 4, stream);
    const auto leave = [&](const float* of_norm) {
      const Handed handed{before.room<float>(before.N), before.room<double>(before.N / 8)};
      ternary_linear_single(stream, before.layer(), {zero, {}, {}}, Epilogue::kAdd,
                            {copy, of_norm, handed}, {});
      before.stream().wait();
      return handed;
    };
    const Handed plain = leave(nullptr), gained = leave(gain);
    ASSERT_EQ(before.download(copy, c.K), before.download(c.x(), c.K));
    for (const Norm& norm : {Norm{}, Norm{true, nullptr, 1e-5f}, Norm{true, gain, 1e-6f}}) {
      c.quantised(norm);
      for (const Epilogue epilogue : kEpilogues) {
        SCOPED_TRACE(fmt::format("{} x {} epilogue {}", c.N, c.K, int(epilogue)));
        const std::vector<float> expected = c.on_device([&](StreamHandle s, float* y) {
          const small::Product p = c.product(epilogue, y);
          ternary_linear_small(s, p.layer, p.x, 1, epilogue, y, p.y_stride, {});
        });
        const int64_t outputs = of_pairs(epilogue) ? c.N / 2 : c.N;
        const Handed left{c.room<float>(outputs), c.room<double>(outputs / 8)};
        const float* next = outputs <= std::ssize(gains) ? gain : nullptr;
        for (const Handed& handed : {Handed{}, norm.gain == nullptr ? plain : gained})
          EXPECT_EQ(difference(c, c.on_device([&](StreamHandle s, float* y) {
                      ternary_linear_single(s, c.layer(), {c.x(), norm, handed}, epilogue,
                                            {y, next, left}, {});
                    }),
                               expected),
                    "")
              << (handed.tiles == nullptr ? "alone" : "handed");
        const std::vector<double> tiles = c.download(left.tiles, outputs / 8);
        const std::vector<float> times_gain = c.download(left.gained, outputs);
        for (int64_t i = 0; i < outputs / 16; ++i) {
          double sum = 0, most = 0;
          for (int64_t j = 16 * i; j < 16 * i + 16; ++j) {
            const double v = expected[static_cast<size_t>(j)];
            const double g = next != nullptr ? gains[static_cast<size_t>(j)] : 1.0;
            sum += v * v;
            most = std::max(most, std::abs(v * g));
            ASSERT_EQ(times_gain[static_cast<size_t>(j)], static_cast<float>(v * g));
          }
          ASSERT_NEAR(tiles[static_cast<size_t>(2 * i)], sum, 1e-14 * sum) << "tile " << i;
          ASSERT_EQ(tiles[static_cast<size_t>(2 * i + 1)], most) << "tile " << i;
        }
      }
    }
  }
}

TEST(CudaLinearSingle, SaysWhereARowIsNotFinite) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  Case c(64, 700, 1);
  int32_t* flag = c.upload(std::vector<int32_t>{0});
  for (const float bad :
       {1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(700, 1.0f);
    x[123] = bad;
    const float* at = c.upload(x);
    float* y = c.room<float>(64);
    for (const bool norm : {false, true})
      ternary_linear_single(c.stream().handle(), c.layer(), {at, {norm, nullptr, 1e-5f}, {}},
                            Epilogue::kStore, {y, nullptr, {}}, {.not_finite = flag});
    EXPECT_EQ(c.download(flag, 1)[0], bad == 1.0f ? 0 : 1) << bad;
  }
}

}  // namespace
}  // namespace trit::cuda
