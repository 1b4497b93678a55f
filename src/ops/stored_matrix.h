#pragma once
// A matrix of full-precision weights as a file holds it. It owns nothing.

#include <cstdint>

#include "base/dtype.h"
#include "kernels/kernels.h"
#include "quant/layouts.h"

namespace trit {

// Row-major [rows, columns]: float32, float16 or bfloat16; or rows of blocks of a packed layout (Q8_0, Q6_K,
// ...), which are decoded as they are read.
struct StoredMatrix {
  const void* data = nullptr;
  DType type = DType::kF32;              // when there is no layout
  const PackedLayout* layout = nullptr;  // not owned: a row of layouts()

  bool is(DType t) const { return layout == nullptr && type == t; }
  int64_t row_bytes(int64_t columns) const;
  const uint8_t* row(int64_t r, int64_t columns) const {
    return static_cast<const uint8_t*>(data) + r * row_bytes(columns);
  }
  void read_row(int64_t r, int64_t columns, float* out) const;

  // y[t][r] = row (first + r) . x[t] for r < rows, t < T; x [T, columns], y [T, y_stride]. The bits of an
  // element depend on nothing but its row and its x.
  void multiply(const kernels::Table& kernel, int64_t first, int64_t rows, int64_t columns,
                const float* x, int64_t T, float* y, int64_t y_stride) const;
};

}  // namespace trit
