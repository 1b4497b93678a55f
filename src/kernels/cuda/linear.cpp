#include "kernels/cuda/kernels.h"

namespace trit::cuda {

void ternary_linear(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                    int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                    const Scratch& scratch) {
  const auto way = T <= kSmallRows ? ternary_linear_small : ternary_linear_large;
  way(stream, layer, x, T, epilogue, y, y_stride, scratch);
}

}  // namespace trit::cuda
