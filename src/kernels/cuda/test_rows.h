#pragma once
// For the tests of training: rows of activations on both sides.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "kernels/cuda/training.h"
#include "kernels/kernels.h"

namespace trit::cuda {

inline const kernels::Table& scalar() { return kernels::table(kernels::Isa::kScalar); }

template <class T>
DeviceMemory on_device(const std::vector<T>& host, StreamHandle stream) {
  DeviceMemory memory(static_cast<int64_t>(host.size() * sizeof(T)));
  copy_to_device(memory.data(), host.data(), memory.bytes(), stream);
  wait(stream);
  return memory;
}
template <class T>
std::vector<T> on_host(const DeviceMemory& memory, StreamHandle stream) {
  std::vector<T> host(static_cast<size_t>(memory.bytes()) / sizeof(T));
  copy_to_host(host.data(), memory.data(), memory.bytes(), stream);
  wait(stream);
  return host;
}
template <class T>
DeviceMemory poisoned(int64_t count, StreamHandle stream) {
  DeviceMemory memory(count * static_cast<int64_t>(sizeof(T)));
  fill(memory.data(), 0x5A, memory.bytes(), stream);
  return memory;
}

inline float rounded(Float type, float x) {
  return type == Float::kF32 ? x : bf16_to_f32(f32_to_bf16(x));
}
inline std::vector<float> random_values(int64_t count, uint64_t seed, float size = 1.0f) {
  Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = size * rng.normal();
  return values;
}

// N rows of K elements, `gap` elements of poison between them.
class TestRows {
 public:
  // Of values [N, K], which are rounded to the type.
  TestRows(Float type, int64_t N, int64_t K, int64_t gap, std::vector<float> values,
           StreamHandle stream)
      : values_(std::move(values)), type_(type), N_(N), K_(K), stride_(K + gap), stream_(stream) {
    const auto size = static_cast<size_t>(float_bytes(type));
    std::vector<uint8_t> bytes(static_cast<size_t>(N * stride_) * size, kPoison);
    for (int64_t i = 0; i < N * K && !values_.empty(); ++i) {
      float& v = values_[static_cast<size_t>(i)];
      v = rounded(type, v);
      const uint16_t half = f32_to_bf16(v);
      std::memcpy(bytes.data() + static_cast<size_t>(i / K * stride_ + i % K) * size,
                  size == 2 ? static_cast<const void*>(&half) : &v, size);
    }
    memory_ = on_device(bytes, stream);
  }
  TestRows(Float type, int64_t N, int64_t K, int64_t gap, StreamHandle stream)
      : TestRows(type, N, K, gap, {}, stream) {}  // poison

  Rows rows() const { return {memory_.data(), stride_, type_}; }
  const std::vector<float>& values() const { return values_; }
  const float* row(int64_t n) const { return values_.data() + n * K_; }
  // What stands there now; the gaps must be poison still.
  std::vector<float> download() const {
    const auto size = static_cast<size_t>(float_bytes(type_));
    const std::vector<uint8_t> bytes = on_host<uint8_t>(memory_, stream_);
    std::vector<float> values;
    for (int64_t i = 0; i < N_ * stride_; ++i) {
      const uint8_t* at = bytes.data() + static_cast<size_t>(i) * size;
      if (i % stride_ >= K_) {
        for (size_t b = 0; b < size; ++b) EXPECT_EQ(at[b], kPoison) << "between rows";
        continue;
      }
      float v = 0;
      uint16_t half = 0;
      std::memcpy(size == 2 ? static_cast<void*>(&half) : &v, at, size);
      values.push_back(size == 2 ? bf16_to_f32(half) : v);
    }
    return values;
  }

 private:
  static constexpr uint8_t kPoison = 0x5A;
  std::vector<float> values_;
  Float type_;
  int64_t N_, K_, stride_;
  StreamHandle stream_;
  DeviceMemory memory_;
};

// |got - want| <= relative |want| + absolute. What is rounded to bfloat16 may be half a unit in the last place off,
// 2^-8 of the value at most (8 bits of fraction, the first one hidden), and float32's error may tip it.
inline void expect_near(const std::vector<float>& got, const std::vector<float>& want, Float type,
                        float relative, float absolute) {
  ASSERT_EQ(got.size(), want.size());
  if (type == Float::kBF16) relative += 0x1p-8f;
  int bad = 0;
  for (size_t i = 0; i < got.size() && bad < 3; ++i) {
    if (std::fabs(got[i] - want[i]) <= relative * std::fabs(want[i]) + absolute) continue;
    ADD_FAILURE() << "element " << i << " is " << got[i] << ", not " << want[i];
    ++bad;
  }
}

}  // namespace trit::cuda
