#pragma once
// Plain float32 matrix products, left to the BLAS: not what this project exists for.

#include <cstdint>

namespace trit::kernels {

enum class Transpose : bool { kNo, kYes };

// C = alpha op(A) op(B) + beta C, row-major, C [M, N], op(A) [M, K], op(B) [K, N]; lda, ldb, ldc are
// the distances between the rows as stored. Runs on the calling thread alone and may run on several
// at once; the same call gives the same bits.
void sgemm(Transpose a, Transpose b, int64_t M, int64_t N, int64_t K, float alpha, const float* A,
           int64_t lda, const float* B, int64_t ldb, float beta, float* C, int64_t ldc);

}  // namespace trit::kernels
