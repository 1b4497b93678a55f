#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"
#include "kernels/kernels.h"

namespace trit::cuda {
namespace {

const kernels::Table& cpu() { return kernels::table(kernels::Isa::kScalar); }

template <class T>
DeviceMemory upload(const std::vector<T>& host, StreamHandle stream) {
  DeviceMemory memory(static_cast<int64_t>(host.size() * sizeof(T)));
  copy_to_device(memory.data(), host.data(), memory.bytes(), stream);
  return memory;
}
template <class T>
std::vector<T> download(const DeviceMemory& memory, StreamHandle stream) {
  std::vector<T> host(static_cast<size_t>(memory.bytes()) / sizeof(T));
  copy_to_host(host.data(), memory.data(), memory.bytes(), stream);
  return host;
}
DeviceMemory poisoned(int64_t bytes, StreamHandle stream) {
  DeviceMemory memory(bytes);
  fill(memory.data(), 0x5A, bytes, stream);
  return memory;
}

struct Rows {
  Rows(int64_t rows, int64_t columns, int64_t padding)
      : T(rows), K(columns), stride(columns + padding), x(static_cast<size_t>(T * stride), 1e30f) {
    Rng rng(static_cast<uint64_t>(T * 1009 + K));
    for (int64_t t = 0; t < T; ++t) {
      const float scale = std::exp(3.0f * rng.normal());
      for (int64_t k = 0; k < K; ++k) x[static_cast<size_t>(t * stride + k)] = scale * rng.normal();
    }
    for (std::vector<float>* gain : {&outer_gain, &inner_gain})
      for (int64_t k = 0; k < K; ++k) gain->push_back(1.0f + 0.3f * rng.normal());
  }
  int64_t T, K, stride;
  std::vector<float> x, outer_gain, inner_gain;
};

struct Quantized {
  std::vector<int8_t> q;
  std::vector<double> step;
  std::vector<int32_t> sum;
  int32_t not_finite = 0;
};

struct Norms {
  bool outer, outer_gain, inner, inner_gain;
};

Quantized on_device(const Rows& rows, const Norms& norms) {
  Stream stream;
  const StreamHandle s = stream.handle();
  const int64_t stride = (rows.K + 127) / 128 * 128;
  const DeviceMemory x = upload(rows.x, s), outer = upload(rows.outer_gain, s),
                     inner = upload(rows.inner_gain, s), q = poisoned(rows.T * stride, s),
                     step = poisoned(rows.T * 8, s), sum = poisoned(rows.T * 4, s),
                     flag = upload(std::vector<int32_t>{0}, s);
  quantize_rows(s, x.as<float>(), rows.stride, rows.T, rows.K,
                {norms.outer, norms.outer_gain ? outer.as<float>() : nullptr, 1e-5f},
                {norms.inner, norms.inner_gain ? inner.as<float>() : nullptr, 1e-6f},
                {q.as<int8_t>(), stride, step.as<double>(), sum.as<int32_t>()},
                {.not_finite = flag.as<int32_t>()});
  const Quantized out{download<int8_t>(q, s), download<double>(step, s), download<int32_t>(sum, s),
                      0};
  const std::vector<int32_t> raised = download<int32_t>(flag, s);
  stream.wait();
  return {out.q, out.step, out.sum, raised[0]};
}

Quantized on_cpu(const Rows& rows, const Norms& norms) {
  const int64_t stride = (rows.K + 127) / 128 * 128;
  Quantized out{std::vector<int8_t>(static_cast<size_t>(rows.T * stride)),
                std::vector<double>(static_cast<size_t>(rows.T)),
                std::vector<int32_t>(static_cast<size_t>(rows.T)), 0};
  for (size_t t = 0; t < static_cast<size_t>(rows.T); ++t) {
    const float* at = &rows.x[t * static_cast<size_t>(rows.stride)];
    std::vector<float> x(at, at + rows.K);
    if (norms.outer)
      cpu().rmsnorm(x.data(), norms.outer_gain ? rows.outer_gain.data() : nullptr, rows.K, 1e-5f,
                    x.data());
    if (norms.inner)
      cpu().rmsnorm(x.data(), norms.inner_gain ? rows.inner_gain.data() : nullptr, rows.K, 1e-6f,
                    x.data());
    out.step[t] = cpu().quantize_i8(x.data(), rows.K, stride,
                                    &out.q[t * static_cast<size_t>(stride)], &out.sum[t]);
  }
  return out;
}

constexpr int64_t kColumns[] = {1,    3,    127,  128,  130,   1000,  1536, 2048,
                                2560, 3200, 4096, 6912, 10240, 13824, 28672};

TEST(CudaQuantizeRows, EqualsTheCpuWithoutNorms) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const int64_t K : kColumns) {
    for (const int64_t padding : {0, 1, 4}) {
      SCOPED_TRACE(fmt::format("K {} padding {}", K, padding));
      const Rows rows(K < 5000 ? 17 : 3, K, padding);
      const Quantized device = on_device(rows, {}), host = on_cpu(rows, {});
      EXPECT_EQ(device.q, host.q);
      EXPECT_EQ(device.step, host.step);
      EXPECT_EQ(device.sum, host.sum);
      EXPECT_EQ(device.not_finite, 0);
    }
  }
}

// The order of a sum moves a factor by 1e-16, which tips next to no activation.
TEST(CudaQuantizeRows, IsTheCpuWithNormsButForTheOrderOfSums) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  int64_t elements = 0, others = 0;
  for (const int64_t K : kColumns) {
    for (const Norms& norms : {Norms{true, true, false, false}, Norms{true, true, true, false},
                               Norms{true, false, true, true}, Norms{false, false, true, true}}) {
      SCOPED_TRACE(fmt::format("K {}", K));
      const Rows rows(K < 5000 ? 17 : 3, K, 0);
      const Quantized device = on_device(rows, norms), host = on_cpu(rows, norms);
      ASSERT_EQ(device.q.size(), host.q.size());
      for (size_t i = 0; i < host.q.size(); ++i) {
        ASSERT_LE(std::abs(device.q[i] - host.q[i]), 1) << i;
        others += device.q[i] != host.q[i];
        ++elements;
      }
      for (size_t t = 0; t < host.step.size(); ++t) {
        EXPECT_NEAR(device.step[t] / host.step[t], 1.0, 2e-7);
        int32_t sum = 0;
        for (size_t k = 0; k < host.q.size() / host.step.size(); ++k)
          sum += device.q[t * (host.q.size() / host.step.size()) + k];
        EXPECT_EQ(device.sum[t], sum);
      }
    }
  }
  EXPECT_LE(others * 100000, elements) << others << " of " << elements;
}

// However many rows there are, which decides how many threads a row has: each gets the same bits.
TEST(CudaQuantizeRows, ManyRowsAreEachAsAlone) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  constexpr size_t kFew = 100;
  for (const int64_t K : {1000, 1536, 3200, 4096, 6912, 8192, 11008, 13824, 28672}) {
    for (const Norms& norms : {Norms{true, true, false, false}, Norms{true, false, true, true}}) {
      SCOPED_TRACE(fmt::format("K {}", K));
      const Rows all(3 * kFew + 7, K, 0);
      const Quantized many = on_device(all, norms);
      const auto stride = static_cast<size_t>((K + 127) / 128 * 128);
      Rows part = all;
      part.T = kFew;
      for (size_t first = 0; first + kFew <= static_cast<size_t>(all.T); first += kFew) {
        part.x.assign(all.x.begin() + static_cast<std::ptrdiff_t>(first) * K,
                      all.x.begin() + static_cast<std::ptrdiff_t>(first + kFew) * K);
        const Quantized few = on_device(part, norms);
        EXPECT_TRUE(std::equal(few.q.begin(), few.q.end(),
                               many.q.begin() + static_cast<std::ptrdiff_t>(first * stride)));
        EXPECT_TRUE(std::equal(few.step.begin(), few.step.end(),
                               many.step.begin() + static_cast<std::ptrdiff_t>(first)));
        EXPECT_TRUE(std::equal(few.sum.begin(), few.sum.end(),
                               many.sum.begin() + static_cast<std::ptrdiff_t>(first)));
      }
      EXPECT_EQ(many.not_finite, 0);
    }
  }
}

TEST(CudaQuantizeRows, TiesGoToEven) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  Rows rows(1, 256, 0);
  for (size_t k = 0; k < 256; ++k) rows.x[k] = 0.5f * static_cast<float>(static_cast<int>(k) - 128);
  rows.x[0] = 127.0f;  // so that the step is 1
  const Quantized device = on_device(rows, {});
  EXPECT_EQ(device.step[0], 1.0);
  for (size_t k = 1; k < 256; ++k)
    EXPECT_EQ(device.q[k], static_cast<int>(std::nearbyint(rows.x[k]))) << rows.x[k];
}

TEST(CudaQuantizeRows, SaysWhereRowsAreNotFinite) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const bool norm : {false, true}) {
      Rows rows(2, 2560, 0);
      rows.x[2560 + 1234] = bad;
      const Quantized device = on_device(rows, {norm, false, norm, true});
      EXPECT_EQ(device.not_finite, 1);
      EXPECT_TRUE(std::isfinite(device.step[0]));
      EXPECT_FALSE(std::isfinite(device.step[1]));
    }
  }
}

TEST(CudaRmsnormRows, IsTheCpuButForTheOrderOfTheSum) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const int64_t K : kColumns) {
    for (const bool gain : {false, true}) {
      SCOPED_TRACE(fmt::format("K {}", K));
      const Rows rows(3, K, 1);
      Stream stream;
      const StreamHandle s = stream.handle();
      const DeviceMemory x = upload(rows.x, s), g = upload(rows.outer_gain, s),
                         y = poisoned(rows.T * (K + 2) * 4, s);
      rmsnorm_rows(s, x.as<float>(), rows.stride, rows.T, K,
                   {true, gain ? g.as<float>() : nullptr, 1e-5f}, y.as<float>(), K + 2);
      const std::vector<float> device = download<float>(y, s);
      stream.wait();
      std::vector<float> host(static_cast<size_t>(K));
      int64_t others = 0;
      for (int64_t t = 0; t < rows.T; ++t) {
        cpu().rmsnorm(&rows.x[static_cast<size_t>(t * rows.stride)],
                      gain ? rows.outer_gain.data() : nullptr, K, 1e-5f, host.data());
        for (int64_t k = 0; k < K; ++k) {
          const float v = device[static_cast<size_t>(t * (K + 2) + k)];
          others += v != host[static_cast<size_t>(k)];
          ASSERT_FLOAT_EQ(v, host[static_cast<size_t>(k)]);
        }
      }
      EXPECT_LE(others, 1);
    }
  }
}

}  // namespace
}  // namespace trit::cuda
