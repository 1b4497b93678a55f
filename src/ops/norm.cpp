#include "ops/norm.h"

#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "ops/row_grain.h"

namespace trit {

namespace {
constexpr int64_t kGrain = 32;  // rows that one thread takes at a time, backwards
}

void rmsnorm_forward(ConstMatrix x, const float* gain, float epsilon, Matrix y) {
  TRIT_CHECK(x.rows == y.rows && x.columns == y.columns);
  parallel_ranges(x.rows, row_grain(x.columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      kernels::active().rmsnorm(x.row(r), gain, x.columns, epsilon, y.row(r));
    }
  });
}

void rmsnorm_backward(ConstMatrix x, const float* gain, float epsilon, ConstMatrix dy, Matrix dx,
                      float* dgain) {
  TRIT_CHECK(x.rows == dy.rows && x.columns == dy.columns &&
             (gain == nullptr) == (dgain == nullptr));
  const kernels::Table& kernel = kernels::active();
  // Each run of rows sums its part of dgain apart; the parts are then added in order.
  const int64_t runs = (x.rows + kGrain - 1) / kGrain;
  std::vector<float> parts(gain ? static_cast<size_t>(runs * x.columns) : 0, 0.0f);
  parallel_ranges(x.rows, kGrain, [&](int64_t begin, int64_t end) {
    float* part = gain ? parts.data() + begin / kGrain * x.columns : nullptr;
    for (int64_t r = begin; r < end; ++r) {
      kernel.rmsnorm_backward(x.row(r), gain, dy.row(r), x.columns, epsilon, dx.row(r), part);
    }
  });
  for (int64_t run = 0; gain && run < runs; ++run) {
    kernel.add(parts.data() + run * x.columns, x.columns, dgain);
  }
}

}  // namespace trit
