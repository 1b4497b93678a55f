#pragma once
// Dense layers of any form and shape, a warp for each output: what the fast kernels do not take. A row's weights are
// decoded one by one, so it is no match for the memory.

#include "kernels/cuda/dense_parts.h"

namespace trit::cuda {

// Row of the layer that output n of a GLU epilogue takes its gate from; up stands 16 rows below.
inline __host__ __device__ int64_t gate_row(int64_t n) { return n / 16 * 32 + n % 16; }

constexpr int kAnyWarps = 8;

template <DenseForm kForm>
__device__ void dot_tokens(const DenseArguments& a, const RowNorms& norms, const uint8_t* row,
                           float (&sums)[kSmallRows]) {
  for (float& sum : sums) sum = 0.0f;
  for (int64_t k = threadIdx.x % 32; k < a.K; k += 32) {
    const float w = weight_at<kForm>(row, k);
#pragma unroll
    for (int t = 0; t < kSmallRows; ++t) {
      if (t >= a.T) break;
      const float x = rounded_input<kForm>(normed(a, norms, t, k, a.x[t * a.x_stride + k]));
      sums[t] = fmaf(w, x, sums[t]);
    }
  }
  for (float& sum : sums) sum = warp_sum(sum);
}

template <DenseForm kForm>
__global__ void __launch_bounds__(kAnyWarps * 32)
    dense_any(const __grid_constant__ DenseArguments a, const int64_t row_bytes) {
  wait_for_previous();
  const RowNorms& norms = row_norms<kAnyWarps>(a);
  const bool paired = is_glu(a.epilogue);
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kAnyWarps + threadIdx.x / 32;
  if (n >= (paired ? a.rows / 2 : a.rows)) return;
  const auto* w = static_cast<const uint8_t*>(a.weights);
  const int64_t row = paired ? gate_row(n) : n;
  float v[kSmallRows], up[kSmallRows];
  dot_tokens<kForm>(a, norms, w + row * row_bytes, v);
  if (paired) {
    dot_tokens<kForm>(a, norms, w + (row + 16) * row_bytes, up);
    for (int t = 0; t < kSmallRows; ++t) v[t] = glu(a.epilogue, v[t], up[t]);
  }
  if (threadIdx.x % 32 != 0) return;
  for (int t = 0; t < a.T; ++t) {
    float& out = a.y[t * a.y_stride + n];
    out = a.epilogue == Epilogue::kAdd ? out + v[t] : v[t];
  }
}

}  // namespace trit::cuda
