#pragma once
// Views of row-major float32 matrices (they own nothing), and scratch memory for the ops.

#include <cstdint>
#include <map>
#include <string_view>

#include "base/tensor.h"

namespace trit {

struct Matrix {
  float* data = nullptr;
  int64_t rows = 0, columns = 0;
  float* row(int64_t r) const { return data + r * columns; }
  int64_t size() const { return rows * columns; }
};

struct ConstMatrix {
  const float* data = nullptr;
  int64_t rows = 0, columns = 0;
  ConstMatrix() = default;
  ConstMatrix(const float* d, int64_t r, int64_t c) : data(d), rows(r), columns(c) {}
  ConstMatrix(const Matrix& m)
      : data(m.data), rows(m.rows), columns(m.columns) {}  // NOLINT: a view of a view
  const float* row(int64_t r) const { return data + r * columns; }
  int64_t size() const { return rows * columns; }
};

// Memory that ops need while they run, kept between calls and grown on demand. Not thread-safe: one
// per running forward pass. A slot's contents last until the same slot is asked for again.
class Workspace {
 public:
  // In training plain float products run on the BLAS, the fastest there is. Otherwise they run on
  // kernels whose result for a row does not depend on the other rows of the batch, bit for bit.
  bool training = false;

  template <class T>
  T* get(std::string_view slot, int64_t count) {
    auto& buffer = buffers_[slot];
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    if (buffer.size() < bytes) buffer = Buffer<std::byte>(bytes);
    return reinterpret_cast<T*>(buffer.data());
  }

 private:
  std::map<std::string_view, Buffer<std::byte>> buffers_;  // keys are string literals
};

}  // namespace trit
