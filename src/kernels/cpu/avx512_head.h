#pragma once
// Rows against one token, or an even number, in AVX-512, for the table of avx512vnni.cpp. Each does all rows of one
// token, of several as many from the first as go four by four, or none, and returns their number; K is a multiple of 32, or of the block.

#include <cstdint>

namespace trit::kernels {

int64_t head_rows_f16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                      float* y, int64_t y_stride);
int64_t head_rows_bf16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride);
int64_t head_rows_q8_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride);
int64_t head_rows_q4_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride);
int64_t head_rows_q6_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride);
int64_t head_rows_q4_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride);

}  // namespace trit::kernels
