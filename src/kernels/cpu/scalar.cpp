// The specification: plain code for any machine.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/cpu/screen_rows.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

namespace trit::kernels {
namespace {

#include "kernels/cpu/float_rows.h"
#include "kernels/cpu/ggml_rows.h"
#include "kernels/cpu/kv_rows.h"
#include "kernels/cpu/lanes_scalar.h"
// Behind the lanes.
#include "kernels/cpu/kv_packed.h"

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

void two_bit_gemm_scalar(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                         int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                         int64_t y_stride) {
  for (int64_t row = 0; row < 16 * tiles; ++row) {
    const uint8_t* lane = w + row / 16 * blocks * 64 + row % 16 * 4;
    for (int64_t t = 0; t < T; ++t) {
      int32_t dot = 0;
      for (int64_t k = 0; k < 16 * blocks; ++k) {
        const int code = lane[k / 16 * 64 + k % 4] >> (k % 16 / 4 * 2) & 3;
        dot += code * x[t * x_stride + k];
      }
      y[t * y_stride + row] = dot - x_sum[t];
    }
  }
}

void base3_gemm_scalar(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                       int64_t x_stride, const int32_t*, const uint8_t*, int64_t T, int32_t* y,
                       int64_t y_stride) {
  for (int64_t row = 0; row < 64 * tiles; ++row) {
    const uint8_t* column = w + row / 64 * (blocks * 64 + 128) + row % 64;
    for (int64_t t = 0; t < T; ++t) {
      int32_t dot = 0;
      for (int64_t block = 0; block < blocks; ++block) {
        const int8_t* five = x + t * x_stride + block * 5;
        const int byte = column[block * 64];
        // 0 to 242: the digits of its base-3 form are the levels + 1.
        int value = byte < 128 ? 121 + byte : 121 - (byte - 128);
        for (int i = 0; i < 5; ++i, value /= 3) dot += (value % 3 - 1) * five[i];
      }
      y[t * y_stride + row] = dot;
    }
  }
}

Table scalar_table() {
  Table table = float_rows();
  add_kv_rows(table);
  add_ggml_rows(table);
  table.ternary_gemm_i8 = ternary_gemm_i8;
  table.two_bit_gemm_i8 = two_bit_gemm_scalar;
  table.base3_gemm_i8 = base3_gemm_scalar;
  table.screen_q8_0 = screen_q8_0_scalar;
  table.screen_q6_k = screen_q6_k_scalar;
  return table;
}

}  // namespace trit::kernels
