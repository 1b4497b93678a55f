#include "kernels/cuda/training_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

// Rows with columns that are not the matrix's: 7 there, which must stay.
struct TestRows {
  int64_t rows, stride;
  Float type;
  std::vector<float> host;
  DeviceMemory memory;

  TestRows(int64_t rows_, int64_t columns, int64_t stride_, Float type_, uint64_t seed)
      : rows(rows_),
        stride(stride_),
        type(type_),
        host(static_cast<size_t>(rows_ * stride_), 7.0f) {
    Rng rng(seed);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) at(r, c) = bf16_to_f32(f32_to_bf16(rng.normal()));
    }
    memory = DeviceMemory(rows * stride * float_bytes(type));
    std::vector<uint16_t> halves;
    for (const float v : host) halves.push_back(f32_to_bf16(v));
    const void* from = type == Float::kF32 ? static_cast<const void*>(host.data()) : halves.data();
    const Stream stream;
    copy_to_device(memory.data(), from, memory.bytes(), stream.handle());
    stream.wait();
  }
  float& at(int64_t r, int64_t c) { return host[static_cast<size_t>(r * stride + c)]; }
  Rows view() const { return {memory.data(), stride, type}; }
  std::vector<float> result(StreamHandle stream) const {
    std::vector<std::byte> bytes(static_cast<size_t>(memory.bytes()));
    copy_to_host(bytes.data(), memory.data(), memory.bytes(), stream);
    wait(stream);
    std::vector<float> values(host.size());
    to_f32(type == Float::kF32 ? DType::kF32 : DType::kBF16, bytes.data(), values.size(),
           values.data());
    return values;
  }
};

struct Case {
  int64_t M, N, K;
  bool a_turned, b_turned, adds;
  Float of, to;
};

void check(const Case& c) {
  SCOPED_TRACE(testing::Message() << c.M << " " << c.N << " " << c.K << " turned " << c.a_turned
                                  << c.b_turned << " adds " << c.adds << " types "
                                  << static_cast<int>(c.of) << static_cast<int>(c.to));
  const auto wide = [](int64_t columns) { return (columns + 15) / 16 * 16 + 16; };
  TestRows a(c.a_turned ? c.K : c.M, c.a_turned ? c.M : c.K, wide(c.a_turned ? c.M : c.K), c.of, 1);
  TestRows b(c.b_turned ? c.N : c.K, c.b_turned ? c.K : c.N, wide(c.b_turned ? c.K : c.N), c.of, 2);
  TestRows sum(c.M, c.N, wide(c.N), c.to, 3), d(c.M, c.N, wide(c.N), c.to, 4);
  const DeviceMemory memory(multiply_scratch_bytes());
  const Stream stream;
  multiply(stream.handle(),
           {.M = c.M,
            .N = c.N,
            .K = c.K,
            .a = a.view(),
            .b = b.view(),
            .a_turned = c.a_turned,
            .b_turned = c.b_turned,
            .c = c.adds ? ConstRows(sum.view()) : ConstRows{},
            .d = d.view()},
           {.memory = memory.data(), .bytes = memory.bytes()});
  const std::vector<float> got = d.result(stream.handle());
  const double unit = c.to == Float::kF32 ? 1e-5 : 4e-3;
  for (int64_t m = 0; m < c.M; ++m) {
    for (int64_t n = 0; n < d.stride; ++n) {
      const double value = static_cast<double>(got[static_cast<size_t>(m * d.stride + n)]);
      if (n >= c.N) {
        ASSERT_EQ(value, 7.0);
        continue;
      }
      double expected = c.adds ? static_cast<double>(sum.at(m, n)) : 0.0, size = 1;
      for (int64_t k = 0; k < c.K; ++k) {
        const double product = static_cast<double>(c.a_turned ? a.at(k, m) : a.at(m, k)) *
                               static_cast<double>(c.b_turned ? b.at(n, k) : b.at(k, n));
        expected += product;
        size += product * product;
      }
      ASSERT_NEAR(value, expected, unit * (std::sqrt(size) + std::fabs(expected))) << m << " " << n;
    }
  }
}

TEST(CudaMultiply, AllWays) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const auto& [M, N, K] : {std::array<int64_t, 3>{40, 56, 72}, {5, 20, 12}, {130, 24, 300}}) {
    for (const bool a_turned : {false, true}) {
      for (const bool b_turned : {false, true}) {
        for (const bool adds : {false, true}) {
          check({M, N, K, a_turned, b_turned, adds, Float::kF32, Float::kF32});
          check({M, N, K, a_turned, b_turned, adds, Float::kBF16, Float::kBF16});
          check({M, N, K, a_turned, b_turned, adds, Float::kBF16, Float::kF32});
        }
      }
    }
  }
}

// float32 gives ternary_linear's bits; bfloat16 what these round to, but for the last bit.
TEST(CudaTernaryForward, IsTheLayersProduct) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const auto& [T, N, K] :
       {std::array<int64_t, 3>{1, 16, 20}, {300, 48, 130}, {129, 400, 512}}) {
    TestRows x(T, K, K + 4, Float::kF32, 5), add(T, N, N + 16, Float::kF32, 6),
        half(T, N, N + 16, Float::kBF16, 6), y(T, N, N + 16, Float::kF32, 7),
        y_half(T, N, N + 16, Float::kBF16, 7), plain(T, N, N + 16, Float::kF32, 8);
    const int64_t q_stride = (K + 127) / 128 * 128;
    const DeviceMemory q(T * q_stride), steps(T * 8), sums(T * 4), flag(4);
    const QuantizedRows rows{q.as<int8_t>(), q_stride, steps.as<double>(), sums.as<int32_t>()};
    quantize_rows(s, static_cast<const float*>(x.view().data), x.stride, T, K, {}, {}, rows,
                  {.not_finite = flag.as<int32_t>()});
    Rng rng(9);
    std::vector<int8_t> levels(static_cast<size_t>(N * K));
    for (auto& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    std::vector<uint8_t> packed(static_cast<size_t>(N * packed_row_bytes(K)));
    pack_trits(levels, N, K, packed);
    std::vector<uint8_t> tiles(static_cast<size_t>(mma_bytes(N, K)));
    mma_tile_trits(packed, N, K, tiles.data(), mma_tile_bytes(K));
    std::vector<float> scales;
    for (int64_t i = 0; i < mma_tiles(N); ++i)
      scales.push_back(0.02f + 0.01f * static_cast<float>(i));
    const DeviceMemory tiles_there(std::ssize(tiles)), scales_there(mma_tiles(N) * 4);
    copy_to_device(tiles_there.data(), tiles.data(), tiles_there.bytes(), s);
    copy_to_device(scales_there.data(), scales.data(), scales_there.bytes(), s);
    const TernaryLayer layer{tiles_there.as<uint8_t>(), scales_there.as<float>(), N, K};

    ternary_linear_large(s, layer, rows, T, Epilogue::kStore,
                         static_cast<float*>(plain.view().data), plain.stride, {});
    const std::vector<float> product = plain.result(s);
    for (const bool adds : {false, true}) {
      ternary_forward(s, layer, rows, T, adds ? ConstRows(add.view()) : ConstRows{}, y.view());
      ternary_forward(s, layer, rows, T, adds ? ConstRows(half.view()) : ConstRows{},
                      y_half.view());
      const std::vector<float> exact = y.result(s), rounded = y_half.result(s);
      for (int64_t t = 0; t < T; ++t) {
        for (int64_t n = 0; n < y.stride; ++n) {
          const auto i = static_cast<size_t>(t * y.stride + n);
          if (n >= N) {
            ASSERT_EQ(exact[i], 7.0f);
            ASSERT_EQ(rounded[i], 7.0f);
            continue;
          }
          const float expected = adds ? add.at(t, n) + product[i] : product[i];
          ASSERT_EQ(exact[i], expected) << T << " " << N << " " << K << ": " << t << " " << n;
          ASSERT_NEAR(rounded[i], expected, 0.0079 * std::fabs(expected) + 1e-6)
              << T << " " << N << " " << K << ": " << t << " " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda
