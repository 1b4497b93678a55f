#pragma once
// The rows of kernels.h that screen a head, by instruction set.

#include "kernels/kernels.h"

namespace trit::kernels {

void screen_q8_0_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
void screen_q6_k_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);

// With VNNI.
void screen_q8_0_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
void screen_q6_k_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);

}  // namespace trit::kernels
