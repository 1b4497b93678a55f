#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "kernels/cuda/kernels.h"
#include "kernels/kernels.h"
#include "quant/layouts.h"

namespace trit::cuda {
namespace {

using Floats = std::vector<float>;
using Bytes = std::vector<uint8_t>;

Floats random_floats(int64_t n, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  Floats v(static_cast<size_t>(n));
  for (float& x : v) x = normal(random);
  return v;
}

const PackedLayout* layout_of(DenseForm form) {
  switch (form) {
    case DenseForm::kQ8_0:
      return &kQ8_0;
    case DenseForm::kQ6_K:
      return &kQ6_K;
    case DenseForm::kQ4_0:
      return &kQ4_0;
    case DenseForm::kQ4_K:
      return &kQ4_K;
    default:
      return nullptr;
  }
}
DType type_of(DenseForm form) {
  if (form == DenseForm::kF16) return DType::kF16;
  return form == DenseForm::kBF16 ? DType::kBF16 : DType::kF32;
}

// A matrix as stored, and as it is.
struct Matrix {
  Bytes bytes;
  Floats values;
};
// Blocks of random bytes, but for their scales: halves around 2^-8, either sign.
Bytes random_blocks(const PackedLayout& layout, int64_t blocks, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(static_cast<size_t>(blocks * layout.bytes));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t* block = bytes.data() + b * layout.bytes;
    const auto scale = [&](int64_t at) {
      block[at + 1] = static_cast<uint8_t>((block[at + 1] & 0x83) | 0x1C);
    };
    if (&layout == &kQ6_K) {
      scale(208);
    } else {
      scale(0);
      if (&layout == &kQ4_K) scale(2);
    }
  }
  return bytes;
}
Matrix random_matrix(DenseForm form, int64_t N, int64_t K, uint32_t seed) {
  Matrix m;
  m.values.resize(static_cast<size_t>(N * K));
  if (const PackedLayout* layout = layout_of(form)) {
    m.bytes = random_blocks(*layout, N * K / layout->block, seed);
    decode_weights(*layout, m.bytes, N, K, m.values, "w");
    return m;
  }
  const Floats v = random_floats(N * K, 0.05f, seed);
  m.bytes.resize(v.size() * dtype_size(type_of(form)));
  from_f32(type_of(form), v.data(), v.size(), m.bytes.data());
  to_f32(type_of(form), m.bytes.data(), v.size(), m.values.data());
  return m;
}

// In the memory of the device, 256-byte aligned, and in whole sixteenths: compute-sanitizer takes a copy of the last few bytes (copy_16) for one of 16.
DeviceMemory upload(const void* data, size_t bytes, const Stream& stream) {
  DeviceMemory memory(static_cast<int64_t>((bytes + 15) / 16 * 16));
  copy_to_device(memory.data(), data, static_cast<int64_t>(bytes), stream.handle());
  stream.wait();
  return memory;
}

struct Case {
  DenseForm form;
  int64_t N, K, T;
  Epilogue epilogue;
  bool normed = false;
};
int64_t outputs(const Case& c) { return c.epilogue >= Epilogue::kSiluMul ? c.N / 2 : c.N; }

constexpr int64_t kMoreX = 4, kMoreY = 3;  // beyond K and the outputs in each row

constexpr float kEpsilon = 0.01f;
Floats gains(int64_t K) {
  Floats gain = random_floats(K, 0.2f, 77);
  for (float& v : gain) v += 1.0f;
  return gain;
}

// What the layer leaves in y, rows outputs + kMoreY apart, which held `before`.
Floats run(const Case& c, const Matrix& w, const Floats& x, const Floats& before, bool in_graph) {
  const Stream stream;
  const DeviceMemory weights = upload(w.bytes.data(), w.bytes.size(), stream);
  const DeviceMemory inputs = upload(x.data(), x.size() * 4, stream);
  const DeviceMemory y = upload(before.data(), before.size() * 4, stream);
  const DenseLayer layer{.weights = weights.data(), .form = c.form, .rows = c.N, .columns = c.K};
  const DeviceMemory memory(dense_scratch_bytes(layer, c.T, c.epilogue));
  const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
  const Floats gain = gains(c.K);
  const DeviceMemory gain_there = upload(gain.data(), gain.size() * 4, stream);
  const Norm norm{.there = true, .gain = gain_there.as<float>(), .epsilon = kEpsilon};
  const auto queue = [&](StreamHandle s) {
    if (c.normed) {
      dense_linear_fused(s, norm, layer, inputs.as<float>(), c.K + kMoreX, c.T, c.epilogue,
                         y.as<float>(), outputs(c) + kMoreY, scratch);
      return;
    }
    dense_linear(s, layer, inputs.as<float>(), c.K + kMoreX, c.T, c.epilogue, y.as<float>(),
                 outputs(c) + kMoreY, scratch);
  };
  if (in_graph) {
    const Graph graph(stream.handle(), queue);
    graph.launch(stream.handle());
    stream.wait();
  } else {
    queue(stream.handle());
  }
  Floats got(before.size());
  copy_to_host(got.data(), y.data(), static_cast<int64_t>(got.size() * sizeof(float)),
               stream.handle());
  stream.wait();
  return got;
}

float as_taken(DenseForm form, float x) {
  if (form == DenseForm::kF16) return f16_to_f32(f32_to_f16(x));
  return form == DenseForm::kBF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

struct Exact {
  double sum = 0, magnitude = 0, largest = 0;
};
Exact dot(const Case& c, const Matrix& w, const Floats& x, int64_t t, int64_t row) {
  Exact e;
  for (int64_t k = 0; k < c.K; ++k) {
    const double p =
        static_cast<double>(w.values[static_cast<size_t>(row * c.K + k)]) *
        static_cast<double>(as_taken(c.form, x[static_cast<size_t>(t * (c.K + kMoreX) + k)]));
    e.sum += p;
    e.magnitude += std::abs(p);
    e.largest = std::max(e.largest, std::abs(p));
  }
  return e;
}

// A sum in float32 through a chain of at most n additions, each of which may lose 2^-23 of the magnitudes: eight warps
// (or 32 lanes) share the K products. A product that is left out or taken twice changes it by 1 / K of them.
// The norm's own rounding (2^-23) may turn a few inputs to the next half.
double allowed_error(const Case& c, const Exact& e) {
  const double chain = static_cast<double>(c.K) / 32 + 40;
  const int half = c.form == DenseForm::kBF16 ? -7 : -10;
  return std::ldexp(chain * e.magnitude, c.T > kSmallRows ? -22 : -23) +
         (c.normed ? std::ldexp(4 * e.largest, half) : 0.0) + 1e-30;
}

// By the CPU.
Floats norm_of(const Case& c, const Floats& x) {
  const Floats gain = gains(c.K);
  Floats normed(x.size());
  for (int64_t t = 0; t < c.T; ++t) {
    const int64_t at = t * (c.K + kMoreX);
    kernels::table(kernels::Isa::kScalar)
        .rmsnorm(x.data() + at, gain.data(), c.K, kEpsilon, normed.data() + at);
  }
  return normed;
}

void expect_right(const Case& c, bool in_graph = false) {
  SCOPED_TRACE(testing::Message() << "form " << static_cast<int>(c.form) << " N " << c.N << " K "
                                  << c.K << " T " << c.T << " epilogue "
                                  << static_cast<int>(c.epilogue));
  const auto seed = static_cast<uint32_t>(c.N * 31 + c.K * 7 + c.T);
  const Matrix w = random_matrix(c.form, c.N, c.K, seed);
  const Floats x = random_floats(c.T * (c.K + kMoreX), 1.0f, seed + 1);
  Floats before = random_floats(c.T * (outputs(c) + kMoreY), 1.0f, seed + 2);
  if (c.epilogue != Epilogue::kAdd)
    for (float& v : before) v = NAN;
  const Floats got = run(c, w, x, before, in_graph);
  const Floats taken = c.normed ? norm_of(c, x) : x;
  int64_t wrong = 0;
  for (int64_t t = 0; t < c.T; ++t) {
    for (int64_t n = 0; n < outputs(c) + kMoreY; ++n) {
      const auto at = static_cast<size_t>(t * (outputs(c) + kMoreY) + n);
      if (n >= outputs(c)) {  // not the layer's
        if (std::memcmp(&got[at], &before[at], 4) != 0) ++wrong;
        continue;
      }
      double expected, error;
      if (c.epilogue >= Epilogue::kSiluMul) {
        const int64_t row = n / 16 * 32 + n % 16;
        const Exact gate = dot(c, w, taken, t, row), up = dot(c, w, taken, t, row + 16);
        const bool silu = c.epilogue == Epilogue::kSiluMul;
        const double g = gate.sum, positive = g > 0 ? g : 0;
        const double active = silu ? g / (1 + std::exp(-g)) : positive * positive;
        expected = active * up.sum;
        // |silu'| < 1.1; the square's slope is 2 g. exp and the division: a few units of the last place.
        const double slope = silu ? 1.1 : 2 * positive + allowed_error(c, gate);
        error = slope * allowed_error(c, gate) * std::abs(up.sum) +
                std::abs(active) * allowed_error(c, up) + 1e-6 * std::abs(expected) + 1e-12;
      } else {
        const Exact e = dot(c, w, taken, t, n);
        expected = e.sum;
        error = allowed_error(c, e);
        if (c.epilogue == Epilogue::kAdd) {
          expected += static_cast<double>(before[at]);
          error += 1e-7 * std::abs(expected);
        }
      }
      if (!(std::abs(static_cast<double>(got[at]) - expected) <= error)) {
        if (wrong++ < 3)
          ADD_FAILURE() << "row " << t << " output " << n << ": " << got[at] << ", expected "
                        << expected << " within " << error;
      }
    }
  }
  EXPECT_EQ(wrong, 0);
}

class CudaDense : public testing::Test {
 protected:
  void SetUp() override {
    if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  }
};

constexpr DenseForm kFloats[] = {DenseForm::kF32, DenseForm::kF16, DenseForm::kBF16};
constexpr DenseForm kBlocks[] = {DenseForm::kQ8_0, DenseForm::kQ6_K, DenseForm::kQ4_0,
                                 DenseForm::kQ4_K};

TEST_F(CudaDense, FewRowsOfFloats) {
  for (const DenseForm form : kFloats) {
    for (const int64_t T : {1, 2, 3, 8})
      for (const int64_t K : {8, 64, 520, 1536, 4104})
        expect_right({form, 48, K, T, Epilogue::kStore});
    expect_right({form, 2176, 1024, 1, Epilogue::kStore});  // more tiles than multiprocessors
    expect_right({form, 4800, 512, 5, Epilogue::kAdd});
  }
}

TEST_F(CudaDense, RowsAndInputsOfOddNumber) {
  for (const DenseForm form : kFloats) {
    for (const int64_t N : {1, 7, 17, 31, 2117}) expect_right({form, N, 264, 3, Epilogue::kStore});
    for (const int64_t K : {1, 7, 63, 257, 1028}) expect_right({form, 37, K, 4, Epilogue::kAdd});
  }
}

TEST_F(CudaDense, Epilogues) {
  for (const DenseForm form :
       {DenseForm::kF32, DenseForm::kF16, DenseForm::kBF16, DenseForm::kQ8_0}) {
    for (const int64_t T : {1, 6, 8, 12}) {
      for (const Epilogue e : {Epilogue::kAdd, Epilogue::kSiluMul, Epilogue::kRelu2Mul}) {
        expect_right({form, 96, 544, T, e});
        expect_right({form, 96, 544, T, e}, true);
      }
    }
  }
}

TEST_F(CudaDense, NormedInputs) {
  for (const DenseForm form :
       {DenseForm::kF32, DenseForm::kF16, DenseForm::kBF16, DenseForm::kQ6_K, DenseForm::kQ8_0}) {
    for (const int64_t T : {1, 3, 8, 20}) {
      expect_right({form, 64, 1536, T, Epilogue::kStore, true});
      expect_right({form, 64, 768, T, Epilogue::kSiluMul, true}, true);
    }
  }
  for (const DenseForm form : kFloats) {
    expect_right({form, 33, 257, 5, Epilogue::kStore, true});
    expect_right({form, 32, 20488, 2, Epilogue::kAdd, true});
  }
}

TEST_F(CudaDense, InputsThatFillSharedMemory) {
  expect_right({DenseForm::kF16, 64, 28672, 1, Epilogue::kStore});
  expect_right({DenseForm::kF16, 64, 28672, 8, Epilogue::kAdd});
  expect_right({DenseForm::kBF16, 64, 13824, 7, Epilogue::kSiluMul});
  expect_right({DenseForm::kBF16, 32, 150000, 2, Epilogue::kStore});
  expect_right({DenseForm::kF32, 64, 28672, 8, Epilogue::kAdd});
}

TEST_F(CudaDense, ManyRows) {
  for (const DenseForm form : kFloats) {
    for (const int64_t T : {9, 33, 128}) expect_right({form, 320, 512, T, Epilogue::kStore});
    expect_right({form, 320, 512, 40, Epilogue::kAdd}, true);
    expect_right({form, 321, 513, 17, Epilogue::kAdd});
  }
}

TEST_F(CudaDense, Blocks) {
  for (const DenseForm form : kBlocks) {
    for (const int64_t T : {1, 2, 3, 8, 11}) {
      for (const int64_t K : {256, 768, 2560}) expect_right({form, 48, K, T, Epilogue::kStore});
    }
    for (const int64_t N : {1, 7, 17, 2117}) expect_right({form, N, 512, 3, Epilogue::kStore});
    expect_right({form, 96, 4096, 5, Epilogue::kAdd}, true);
  }
  expect_right({DenseForm::kQ8_0, 33, 96, 2, Epilogue::kStore});
  expect_right({DenseForm::kQ4_0, 33, 96, 2, Epilogue::kStore});
}

TEST_F(CudaDense, BitsOfARowDoNotDependOnTheOthers) {
  for (const DenseForm form : {DenseForm::kF32, DenseForm::kF16, DenseForm::kBF16, DenseForm::kQ8_0,
                               DenseForm::kQ6_K, DenseForm::kQ4_0, DenseForm::kQ4_K}) {
    for (const int64_t K : {768, 15360}) {
      const Case many{form, 80, K, 8, Epilogue::kStore};
      const Matrix w = random_matrix(form, many.N, K, 5);
      const Floats x = random_floats(many.T * (K + kMoreX), 1.0f, 6);
      const auto row = static_cast<size_t>(many.N + kMoreY);
      const Floats all = run(many, w, x, Floats(8 * row), false);
      for (const int64_t T : {1, 2, 3, 5}) {
        Case few = many;
        few.T = T;
        const Floats got = run(few, w, x, Floats(static_cast<size_t>(T) * row), false);
        EXPECT_EQ(std::memcmp(got.data(), all.data(), got.size() * 4), 0)
            << "form " << static_cast<int>(form) << " K " << K << " T " << T;
      }
    }
  }
}

TEST_F(CudaDense, Embedding) {
  const std::vector<int32_t> tokens = {3, 0, 18, 3};
  for (const DenseForm form : {DenseForm::kF32, DenseForm::kF16, DenseForm::kBF16, DenseForm::kQ8_0,
                               DenseForm::kQ6_K, DenseForm::kQ4_0, DenseForm::kQ4_K}) {
    const int64_t C = 768;
    const Matrix table = random_matrix(form, 19, C, 9);
    const Stream stream;
    const DeviceMemory weights = upload(table.bytes.data(), table.bytes.size(), stream);
    const DeviceMemory ids = upload(tokens.data(), tokens.size() * 4, stream);
    const DeviceMemory x(C * 4 * static_cast<int64_t>(tokens.size()));
    fill(x.data(), 0xFF, x.bytes(), stream.handle());
    embed(stream.handle(), {.weights = weights.data(), .form = form, .rows = 19, .columns = C},
          ids.as<int32_t>(), static_cast<int64_t>(tokens.size()), x.as<float>(), C);
    Floats got(static_cast<size_t>(C) * tokens.size());
    copy_to_host(got.data(), x.data(), x.bytes(), stream.handle());
    stream.wait();
    for (size_t t = 0; t < tokens.size(); ++t) {
      for (size_t c = 0; c < static_cast<size_t>(C); ++c) {
        ASSERT_EQ(got[t * C + c], table.values[static_cast<size_t>(tokens[t]) * C + c])
            << "form " << static_cast<int>(form) << " token " << t << " column " << c;
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda
