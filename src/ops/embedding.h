#pragma once
// Rows of the embedding table, and the gradient scattered back into them.

#include <cstdint>
#include <span>

#include "ops/matrix.h"
#include "ops/stored_matrix.h"

namespace trit {

// y[n] = table[tokens[n]]; table [vocabulary, y.columns].
// Throws Error for a token outside the vocabulary.
void embedding_forward(const StoredMatrix& table, int64_t vocabulary,
                       std::span<const int32_t> tokens, Matrix y);

// dtable[tokens[n]] += dy[n], in the order of n.
void embedding_backward(std::span<const int32_t> tokens, ConstMatrix dy, float* dtable);

}  // namespace trit
