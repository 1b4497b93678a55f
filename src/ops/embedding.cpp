#include "ops/embedding.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {

void embedding_forward(const StoredMatrix& table, int64_t vocabulary,
                       std::span<const int32_t> tokens, Matrix y) {
  TRIT_CHECK(y.rows == static_cast<int64_t>(tokens.size()));
  for (int64_t n = 0; n < y.rows; ++n) {
    const int32_t token = tokens[static_cast<size_t>(n)];
    if (token < 0 || token >= vocabulary) {
      bad_input("token {} at position {}: the model's vocabulary has ids 0 to {}", token, n,
                vocabulary - 1);
    }
    table.read_row(token, y.columns, y.row(n));
  }
}

void embedding_backward(std::span<const int32_t> tokens, ConstMatrix dy, float* dtable) {
  TRIT_CHECK(dy.rows == static_cast<int64_t>(tokens.size()));
  // Split by columns, so that no two threads meet in a row and each keeps the order of n.
  parallel_ranges(dy.columns, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = 0; n < dy.rows; ++n) {
      float* target = dtable + tokens[static_cast<size_t>(n)] * dy.columns + begin;
      kernels::active().add(dy.row(n) + begin, end - begin, target);
    }
  });
}

}  // namespace trit
