#include "ops/stored_matrix.h"

#include "base/error.h"

namespace trit {

int64_t StoredMatrix::row_bytes(int64_t columns) const {
  if (layout != nullptr) return columns / layout->block * layout->bytes;
  return columns * static_cast<int64_t>(dtype_size(type));
}

void StoredMatrix::read_row(int64_t r, int64_t columns, float* out) const {
  if (layout != nullptr) {
    layout->decode(row(r, columns), columns / layout->block, out);
  } else {
    to_f32(type, row(r, columns), static_cast<size_t>(columns), out);
  }
}

namespace {

using BlockProduct = decltype(kernels::Table::dense_gemm_q8_0);

BlockProduct block_product(const kernels::Table& kernel, const PackedLayout* layout) {
  if (layout == &kQ8_0) return kernel.dense_gemm_q8_0;
  if (layout == &kQ6_K) return kernel.dense_gemm_q6_k;
  if (layout == &kQ4_0) return kernel.dense_gemm_q4_0;
  TRIT_CHECK(layout == &kQ4_K);  // the others are ternary
  return kernel.dense_gemm_q4_k;
}

}  // namespace

void StoredMatrix::multiply(const kernels::Table& kernel, int64_t first, int64_t rows,
                            int64_t columns, const float* x, int64_t T, float* y,
                            int64_t y_stride) const {
  const uint8_t* w = row(first, columns);
  const auto* half = reinterpret_cast<const uint16_t*>(w);
  if (layout != nullptr) {
    block_product(kernel, layout)(w, rows, columns, x, T, y, y_stride);
  } else if (type == DType::kF16) {
    kernel.dense_gemm_f16(half, rows, columns, x, T, y, y_stride);
  } else if (type == DType::kBF16) {
    kernel.dense_gemm_bf16(half, rows, columns, x, T, y, y_stride);
  } else {
    kernel.dense_gemm_f32(reinterpret_cast<const float*>(w), rows, columns, x, T, y, y_stride);
  }
}

}  // namespace trit
