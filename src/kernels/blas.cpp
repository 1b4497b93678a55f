#include "kernels/blas.h"

#include <cblas.h>

#include <mutex>

namespace trit::kernels {

namespace {

// The threads are ours; a BLAS with its own would oversubscribe the machine. A BLAS built without
// threads (Debian's serial flavour) is not safe to call from several of ours: then one at a time.
bool one_caller_at_a_time() {
  static const bool serial =
      (openblas_set_num_threads(1), openblas_get_parallel() == OPENBLAS_SEQUENTIAL);
  return serial;
}

std::mutex& caller() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void sgemm(Transpose a, Transpose b, int64_t M, int64_t N, int64_t K, float alpha, const float* A,
           int64_t lda, const float* B, int64_t ldb, float beta, float* C, int64_t ldc) {
  std::unique_lock<std::mutex> lock(caller(), std::defer_lock);
  if (one_caller_at_a_time()) lock.lock();
  const auto op = [](Transpose t) { return t == Transpose::kYes ? CblasTrans : CblasNoTrans; };
  const auto size = [](int64_t n) { return static_cast<blasint>(n); };
  cblas_sgemm(CblasRowMajor, op(a), op(b), size(M), size(N), size(K), alpha, A, size(lda), B,
              size(ldb), beta, C, size(ldc));
}

}  // namespace trit::kernels
