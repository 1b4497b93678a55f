// For builds without a BLAS: the definition.

#include "kernels/blas.h"

namespace trit::kernels {

void sgemm(Transpose a, Transpose b, int64_t M, int64_t N, int64_t K, float alpha, const float* A,
           int64_t lda, const float* B, int64_t ldb, float beta, float* C, int64_t ldc) {
  for (int64_t m = 0; m < M; ++m) {
    float* c = C + m * ldc;
    for (int64_t n = 0; n < N; ++n) c[n] = beta == 0.0f ? 0.0f : beta * c[n];
    for (int64_t k = 0; k < K; ++k) {
      const float factor = alpha * (a == Transpose::kYes ? A[k * lda + m] : A[m * lda + k]);
      for (int64_t n = 0; n < N; ++n)
        c[n] += factor * (b == Transpose::kYes ? B[n * ldb + k] : B[k * ldb + n]);
    }
  }
}

}  // namespace trit::kernels
