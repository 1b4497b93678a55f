// Which kernel a dense layer takes.

#include "kernels/cuda/dense.h"

namespace trit::cuda {

int64_t dense_row_bytes(DenseForm form, int64_t K) {
  switch (form) {
    case DenseForm::kF32:
      return K * 4;
    case DenseForm::kF16:
    case DenseForm::kBF16:
      return K * 2;
    case DenseForm::kQ8_0:
      return K / 32 * 34;
    case DenseForm::kQ6_K:
      return K / 256 * 210;
    case DenseForm::kQ4_0:
      return K / 32 * 18;
    case DenseForm::kQ4_K:
      return K / 256 * 144;
  }
  return 0;
}

void dense_linear(StreamHandle stream, const DenseLayer& layer, const float* x, int64_t x_stride,
                  int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                  const Scratch& scratch) {
  dense_linear_fused(stream, Norm{}, layer, x, x_stride, T, epilogue, y, y_stride, scratch);
}

void dense_linear_fused(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride, const Scratch& scratch) {
  if (T > kSmallRows && is_float(layer.form)) {
    dense_linear_large(stream, norm, layer, x, x_stride, T, epilogue, y, y_stride, scratch);
    return;
  }
  for (int64_t t = 0; t < T; t += kSmallRows) {
    dense_linear_small(stream, norm, layer, x + t * x_stride, x_stride,
                       T - t < kSmallRows ? T - t : kSmallRows, epilogue, y + t * y_stride,
                       y_stride);
  }
}

}  // namespace trit::cuda
