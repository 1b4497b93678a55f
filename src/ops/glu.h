#pragma once
// The gated linear unit between the two halves of the feed-forward part: y = act(gate) * up.

#include <cstdint>
#include <string_view>

#include "ops/matrix.h"

namespace trit {

enum class Activation : uint8_t {
  kSilu,   // SwiGLU (Shazeer, arXiv 2002.05202): LLaMA and BitNet b1.58
  kRelu2,  // max(x, 0)^2: BitNet b1.58 2B4T (arXiv 2504.12285)
};
std::string_view to_string(Activation activation);  // "silu", "relu2"

void glu_forward(Activation activation, ConstMatrix gate, ConstMatrix up, Matrix y);
// Overwrites dgate and dup; either may share memory with dy.
void glu_backward(Activation activation, ConstMatrix gate, ConstMatrix up, ConstMatrix dy,
                  Matrix dgate, Matrix dup);

}  // namespace trit
