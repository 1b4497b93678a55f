#pragma once
// Rounding after training: a full-precision model whose linear weights are put to the values that BitNet's quantiser would
// give them. It is what the papers compare training with: nothing is learned about the rounding.

#include "model/checkpoint.h"

namespace trit {

// The same model, in float32, with level * scale (quant/weights.h) in place of every weight of the projections; embedding,
// head, norms and activations are as they were. `kind` is ternary or binary. Throws Error when the model's weights are not
// full-precision, or one is not finite.
Model rounded_model(const Model& model, WeightKind kind);

}  // namespace trit
