#include "ops/loss.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {
namespace {

constexpr int64_t kRows = 512;  // rows whose logits exist at a time

// Logits of hidden rows [begin, begin + count), turned into losses and, with a scale, gradients.
Matrix loss_of_rows(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets,
                    int64_t begin, int64_t count, float gradient_scale, float* losses,
                    Workspace& workspace) {
  const Matrix logits{workspace.get<float>("logits", count * head.outputs), count, head.outputs};
  const LinearInput input =
      prepare_input(head, {hidden.row(begin), count, hidden.columns}, workspace);
  linear_forward(head, input, logits, workspace);
  parallel_ranges(count, 8, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const int32_t target = targets[static_cast<size_t>(begin + i)];
      losses[begin + i] =
          kernels::active().cross_entropy(logits.row(i), head.outputs, target, gradient_scale);
    }
  });
  return logits;
}

void check_targets(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets) {
  TRIT_CHECK(hidden.rows == static_cast<int64_t>(targets.size()));
  for (const int32_t target : targets) {
    if (target < 0 || target >= head.outputs) {
      bad_input("target token {}: the model's vocabulary has ids 0 to {}", target,
                head.outputs - 1);
    }
  }
}

}  // namespace

void head_loss(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets,
               float* losses, Workspace& workspace) {
  check_targets(head, hidden, targets);
  for (int64_t begin = 0; begin < hidden.rows; begin += kRows) {
    loss_of_rows(head, hidden, targets, begin, std::min(kRows, hidden.rows - begin), 0.0f, losses,
                 workspace);
  }
}

void head_loss_backward(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets,
                        float gradient_scale, float* losses, Matrix dhidden, float* dW,
                        Workspace& workspace) {
  check_targets(head, hidden, targets);
  TRIT_CHECK(head.kind == WeightKind::kFloat && head.dense.is(DType::kF32));
  const ConstMatrix weights{static_cast<const float*>(head.dense.data), head.outputs, head.inputs};
  for (int64_t begin = 0; begin < hidden.rows; begin += kRows) {
    const int64_t count = std::min(kRows, hidden.rows - begin);
    const Matrix dlogits =
        loss_of_rows(head, hidden, targets, begin, count, gradient_scale, losses, workspace);
    matmul_nn(dlogits, weights, {dhidden.row(begin), count, dhidden.columns}, false);
    matmul_tn_accumulate(dlogits, {hidden.row(begin), count, hidden.columns},
                         {dW, head.outputs, head.inputs});
  }
}

}  // namespace trit
