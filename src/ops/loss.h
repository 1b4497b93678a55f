#pragma once
// The output head and the cross-entropy of the next token.

#include <cstdint>
#include <span>

#include "ops/linear.h"
#include "ops/matrix.h"

namespace trit {

// losses[n] = -log softmax(hidden[n] W^T)[targets[n]] in nats, for hidden [N, inputs]; the logits are
// made in runs of rows and never all at once. Throws Error for a target outside the vocabulary.
void head_loss(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets,
               float* losses, Workspace& workspace);

// The same, and backwards: with L = gradient_scale * sum of losses, dhidden = dL/dhidden (overwritten)
// and dW [outputs, inputs] += dL/dW.
void head_loss_backward(const Linear& head, ConstMatrix hidden, std::span<const int32_t> targets,
                        float gradient_scale, float* losses, Matrix dhidden, float* dW,
                        Workspace& workspace);

}  // namespace trit
