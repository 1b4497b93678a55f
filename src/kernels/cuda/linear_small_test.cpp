#include "kernels/cuda/linear_small.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

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
  const float* x() const { return x_at_; }
  Scratch scratch() {
    const int64_t bytes = ternary_fused_scratch_bytes(T, K);
    return {room<std::byte>(bytes), bytes, nullptr};
  }

  const int64_t N, K, T;

 private:
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
        const Scratch scratch = c.scratch();
        EXPECT_EQ(difference(c, c.on_device([&](StreamHandle s, float* y) {
                    const small::Product p = c.product(epilogue, y);
                    ternary_linear_fused(s, p.layer, c.x(), c.K, T, {}, {}, epilogue, y, p.y_stride,
                                         scratch);
                  }),
                             expected),
                  "")
            << "fused";
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
              EXPECT_EQ(difference(c, c.on_device([&](StreamHandle s, float* y) {
                          small::multiply_fused(s, c.product(epilogue, y),
                                                {c.x(), c.K, {}, {}, nullptr}, cut);
                        }),
                                   expected),
                        "")
                  << "fused";
            }
          }
        }
      }
    }
  }
}

// A row's bits do not depend on how many rows there are, norms and all, and the fused way has the same.
TEST(CudaLinearFused, RowsDoNotDependOnTheirNumber) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const Size& size : {Size{320, 1536}, Size{160, 6912}, Size{64, 9000}}) {
    Case c(size.N, size.K, 8);
    const Norm outer{true, nullptr, 1e-5f}, inner{true, nullptr, 1e-5f};
    const Scratch scratch = c.scratch();
    const auto run = [&](int64_t some) {
      return c.on_device([&](StreamHandle s, float* y) {
        const small::Product p = c.product(Epilogue::kStore, y);
        for (int64_t t = 0; t < c.T; t += some)
          ternary_linear_fused(s, p.layer, c.x() + t * c.K, c.K, some, outer, inner,
                               Epilogue::kStore, y + t * p.y_stride, p.y_stride, scratch);
      });
    };
    const std::vector<float> all = run(8);
    for (const int64_t some : {1, 2, 4}) EXPECT_EQ(difference(c, run(some), all), "") << some;
  }
}

}  // namespace
}  // namespace trit::cuda
