#include "kernels/cuda/linear_large.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

using Way = std::function<void(StreamHandle, const large::Product&)>;

// A layer, rows for it and what the scalar kernels make of them.
struct Case {
  Case(int64_t rows, int64_t columns, int64_t tokens, Epilogue e, int64_t padding)
      : N(rows), K(columns), T(tokens), epilogue(e) {
    Rng rng(static_cast<uint64_t>(N * 1000003 + K * 1009 + T));
    std::vector<int8_t> levels(static_cast<size_t>(N * K));
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    packed.resize(static_cast<size_t>(N * packed_row_bytes(K)));
    pack_trits(levels, N, K, packed);
    tiles.resize(static_cast<size_t>(mma_bytes(N, K)));
    mma_tile_trits(packed, N, K, tiles.data(), mma_tile_bytes(K));
    // Some large enough for sums beyond the ends of exp.
    for (int64_t i = 0; i < N / 16; ++i)
      scales.push_back((i % 3 == 0 ? 20.0f : 0.1f) * static_cast<float>(0.1 + rng.uniform()));

    q_stride = padded_columns(K);
    q.resize(static_cast<size_t>(T * q_stride));
    for (int64_t t = 0; t < T; ++t) {
      int32_t total = 0;
      for (int64_t k = 0; k < K; ++k) {
        // Some rows of nothing but the largest activations.
        const int value = t % 7 == 3 ? 127 : static_cast<int>(rng.below(255)) - 127;
        q[static_cast<size_t>(t * q_stride + k)] = static_cast<int8_t>(value);
        total += value;
      }
      sum.push_back(total);
      step.push_back(static_cast<double>(0.001f + rng.uniform()) / 127);
    }
    const bool pairs = epilogue == Epilogue::kSiluMul || epilogue == Epilogue::kRelu2Mul;
    columns_out = pairs ? N / 2 : N;
    y_stride = columns_out + padding;
    before.assign(static_cast<size_t>(T * y_stride), std::numeric_limits<float>::quiet_NaN());
    if (epilogue == Epilogue::kAdd) {
      for (float& v : before) v = rng.normal();
    }
  }

  std::vector<float> expected() const {
    const kernels::Table& cpu = kernels::table(kernels::Isa::kScalar);
    std::vector<int32_t> sums(static_cast<size_t>(T * N));
    cpu.ternary_gemm_i8(packed.data(), N, packed_row_bytes(K), q.data(), sum.data(), T, sums.data(),
                        N);
    std::vector<float> y = before, v(static_cast<size_t>(N)), gate(static_cast<size_t>(N / 2)),
                       up = gate;
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t i = 0; i < N / 16; ++i)
        cpu.scale_i32(
            &sums[static_cast<size_t>(t * N + i * 16)],
            step[static_cast<size_t>(t)] * static_cast<double>(scales[static_cast<size_t>(i)]), 16,
            &v[static_cast<size_t>(i * 16)]);
      for (int64_t i = 0; i < N / 2; ++i) {
        gate[static_cast<size_t>(i)] = v[static_cast<size_t>(i / 16 * 32 + i % 16)];
        up[static_cast<size_t>(i)] = v[static_cast<size_t>((i / 16 * 32 + 16 + i % 16) % N)];
      }
      float* row = &y[static_cast<size_t>(t * y_stride)];
      switch (epilogue) {
        case Epilogue::kStore:
          std::memcpy(row, v.data(), v.size() * sizeof(float));
          break;
        case Epilogue::kAdd:
          cpu.add(v.data(), N, row);
          break;
        case Epilogue::kSiluMul:
          cpu.silu_mul(gate.data(), up.data(), N / 2, row);
          break;
        case Epilogue::kRelu2Mul:
          cpu.relu2_mul(gate.data(), up.data(), N / 2, row);
          break;
      }
    }
    return y;
  }

  std::vector<float> on_device(const Way& way) const {
    Stream stream;
    std::vector<DeviceMemory> kept;
    const auto upload = [&](const auto& host) {
      kept.emplace_back(static_cast<int64_t>(host.size() * sizeof(host[0])));
      copy_to_device(kept.back().data(), host.data(), kept.back().bytes(), stream.handle());
      return kept.back().data();
    };
    large::Product p;
    p.layer = {reinterpret_cast<uint8_t*>(upload(tiles)), reinterpret_cast<float*>(upload(scales)),
               N, K};
    p.x = {reinterpret_cast<int8_t*>(upload(q)), q_stride, reinterpret_cast<double*>(upload(step)),
           reinterpret_cast<int32_t*>(upload(sum))};
    p.T = T;
    p.epilogue = epilogue;
    p.y = reinterpret_cast<float*>(upload(before));
    p.y_stride = y_stride;
    way(stream.handle(), p);
    std::vector<float> y(before.size());
    copy_to_host(y.data(), p.y, static_cast<int64_t>(y.size() * sizeof(float)), stream.handle());
    stream.wait();
    return y;
  }

  int64_t N, K, T;
  Epilogue epilogue;
  int64_t q_stride = 0, columns_out = 0, y_stride = 0;
  std::vector<uint8_t> packed, tiles;
  std::vector<float> scales, before;
  std::vector<int8_t> q;
  std::vector<double> step;
  std::vector<int32_t> sum;
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
          fmt::format("row {} column {}: {} in place of {}", static_cast<int64_t>(i) / c.y_stride,
                      static_cast<int64_t>(i) % c.y_stride, y[i], expected[i]);
  }
  return wrong == 0 ? "" : fmt::format("{} of {} differ; {}", wrong, y.size(), first);
}

constexpr Epilogue kEpilogues[] = {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSiluMul,
                                   Epilogue::kRelu2Mul};
struct Size {
  int64_t N, K, T, padding;
};
constexpr Size kSizes[] = {{16, 1, 1, 0},       {16, 128, 9, 0},    {32, 200, 17, 1},
                           {48, 130, 100, 4},   {256, 512, 16, 0},  {272, 640, 33, 8},
                           {400, 1000, 257, 3}, {512, 256, 128, 0}, {288, 2560, 65, 0},
                           {400, 1280, 130, 0}};

// With what the scalar kernels make of them, which takes longer than all devices together.
struct Known {
  Case c;
  std::vector<float> expected;
};
const std::vector<Known>& all_cases() {
  static const std::vector<Known> all = [] {
    std::vector<Known> cases;
    for (const Size& size : kSizes) {
      for (const Epilogue epilogue : kEpilogues) {
        if (size.N % 32 != 0 && (epilogue == Epilogue::kSiluMul || epilogue == Epilogue::kRelu2Mul))
          continue;
        Case c(size.N, size.K, size.T, epilogue, size.padding);
        std::vector<float> expected = c.expected();
        cases.push_back({std::move(c), std::move(expected)});
      }
    }
    return cases;
  }();
  return all;
}

void expect_as_scalar(const Way& way, const std::string& name) {
  for (const auto& [c, expected] : all_cases())
    EXPECT_EQ(difference(c, c.on_device(way), expected), "")
        << name << ", N " << c.N << ", K " << c.K << ", T " << c.T << ", epilogue "
        << static_cast<int>(c.epilogue);
}

TEST(CudaLinearLarge, EqualsTheScalarKernelsBitForBit) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  expect_as_scalar(
      [](StreamHandle stream, const large::Product& p) {
        ternary_linear_large(stream, p.layer, p.x, p.T, p.epilogue, static_cast<float*>(p.y),
                             p.y_stride, {});
      },
      "as chosen");
}

TEST(CudaLinearLarge, MmaEqualsTheScalarKernelsBitForBit) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  expect_as_scalar(large::multiply_mma, "mma");
}

TEST(CudaLinearLarge, EveryCutEqualsTheScalarKernelsBitForBit) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  if (devices()[0].major != 9) GTEST_SKIP() << "no wgmma";
  for (const int tokens : large::kTileTokens) {
    for (const int splits : {1, 2, 3, 8}) {
      expect_as_scalar(
          [&](StreamHandle stream, const large::Product& p) {
            large::multiply_wgmma(stream, p, {tokens, splits});
          },
          fmt::format("{} tokens, {} splits", tokens, splits));
    }
  }
}

TEST(CudaLinearLarge, ReplaysInAGraph) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Case c(400, 1000, 100, Epilogue::kStore, 0);
  std::vector<Graph> graphs;
  const Way replayed = [&](StreamHandle stream, const large::Product& p) {
    const Graph& graph = graphs.emplace_back(stream, [&](StreamHandle s) {
      ternary_linear_large(s, p.layer, p.x, p.T, p.epilogue, static_cast<float*>(p.y), p.y_stride,
                           {});
    });
    fill(p.y, 0xFF, p.T * p.y_stride * 4, stream);
    graph.launch(stream);
    graph.launch(stream);
  };
  EXPECT_EQ(difference(c, c.on_device(replayed), c.expected()), "");
}

// Host only, for a device of 132 multiprocessors: few tiles are shared along the inputs, as many as there is room for;
// many are not.
TEST(CudaLinearLarge, CutsFillTheDevice) {
  const large::Room room{{0, 132, 66, 39, 30, 22, 17, 15, 15}};
  for (const int64_t rows : {16, 2560, 13824, 16384}) {
    for (const int64_t columns : {128, 2560, 16384}) {
      for (const int64_t T : {1, 16, 64, 256, 2048, 8192}) {
        const large::Cut cut = large::choose_cut(rows, columns, T, room);
        const int64_t tiles = (rows + 255) / 256 * ((T + cut.tokens - 1) / cut.tokens);
        EXPECT_TRUE(cut.splits == 1 || tiles <= room.clusters[cut.splits])
            << rows << " " << columns << " " << T;
        EXPECT_LE(cut.splits, (columns + 127) / 128);
      }
    }
  }
  EXPECT_GE(large::choose_cut(8192, 8192, 8192, room).tokens, 112);
  EXPECT_EQ(large::choose_cut(2560, 2560, 2048, room).tokens, 80);  // two turns of 130 blocks
  EXPECT_EQ(large::choose_cut(2560, 6912, 16, room).tokens, 16);
  EXPECT_GE(large::choose_cut(2560, 6912, 16, room).splits, 4);
}

}  // namespace
}  // namespace trit::cuda
