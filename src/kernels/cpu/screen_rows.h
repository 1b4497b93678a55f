#pragma once
// The rows of kernels.h that screen a head, by instruction set.

#include "kernels/kernels.h"

namespace trit::kernels {

void screen_q8_0_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
void screen_q6_k_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);

// With VNNI.
void screen_q8_0_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
void screen_q6_k_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);

// The specification of ManyScreen, for rows that are decoded: w [rows, K].
void many_screen_scalar(const float* w, int64_t rows, int64_t K, const uint16_t* x, int64_t T,
                        float* y, int64_t y_stride);
void screen_errors_scalar(const float* w, int64_t rows, int64_t K, float* error, float* norm);

// With AMX in bfloat16, where the machine has that.
void add_amx_screens(Table& table);

}  // namespace trit::kernels
