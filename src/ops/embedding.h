#pragma once
// Rows of the embedding table, and the gradient scattered back into them.

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "ops/matrix.h"

namespace trit {

// y[n] = table[tokens[n]]; table [vocabulary, y.columns] in float32, float16 or bfloat16.
// Throws Error for a token outside the vocabulary.
void embedding_forward(const void* table, DType type, int64_t vocabulary,
                       std::span<const int32_t> tokens, Matrix y);

// dtable[tokens[n]] += dy[n], in the order of n.
void embedding_backward(std::span<const int32_t> tokens, ConstMatrix dy, float* dtable);

}  // namespace trit
