#include "ops/glu.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {

namespace {
constexpr int64_t kGrain = 8192;  // elements that one thread takes at a time; a multiple of 16
}

std::string_view to_string(Activation activation) {
  return activation == Activation::kSilu ? "silu" : "relu2";
}

void glu_forward(Activation activation, ConstMatrix gate, ConstMatrix up, Matrix y) {
  TRIT_CHECK(gate.size() == up.size() && gate.size() == y.size());
  const auto row =
      activation == Activation::kSilu ? kernels::active().silu_mul : kernels::active().relu2_mul;
  parallel_ranges(y.size(), kGrain, [&](int64_t begin, int64_t end) {
    row(gate.data + begin, up.data + begin, end - begin, y.data + begin);
  });
}

void glu_backward(Activation activation, ConstMatrix gate, ConstMatrix up, ConstMatrix dy,
                  Matrix dgate, Matrix dup) {
  TRIT_CHECK(gate.size() == dy.size() && gate.size() == dgate.size() && gate.size() == dup.size());
  const auto row = activation == Activation::kSilu ? kernels::active().silu_mul_backward
                                                   : kernels::active().relu2_mul_backward;
  parallel_ranges(dy.size(), kGrain, [&](int64_t begin, int64_t end) {
    row(gate.data + begin, up.data + begin, dy.data + begin, end - begin, dgate.data + begin,
        dup.data + begin);
  });
}

}  // namespace trit
