// The specification: plain code for any machine.

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace trit::kernels {
namespace {

#include "kernels/cpu/float_rows.h"

void ternary_gemm_i8(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                     const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = w + r * row_bytes;
    for (int64_t t = 0; t < T; ++t) {
      int32_t dot = 0;
      for (int64_t b = 0; b < row_bytes; ++b) {
        const int8_t* run = x + t * 4 * row_bytes + b / 32 * 128 + b % 32;
        for (int plane = 0; plane < 4; ++plane)
          dot += (row[b] >> (2 * plane) & 3) * run[32 * plane];
      }
      y[t * y_stride + r] = dot - x_sum[t];
    }
  }
}

}  // namespace

Table scalar_table() {
  Table table = float_rows();
  table.ternary_gemm_i8 = ternary_gemm_i8;
  return table;
}

}  // namespace trit::kernels
