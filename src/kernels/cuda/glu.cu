// What the products of a layer do themselves where they can.

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    glu_kernel(const float* gate, const float* up, int64_t n, int64_t stride, bool silu, float* y) {
  wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const int64_t at = blockIdx.y * stride + i;
  y[at] = silu ? silu_mul(gate[at], up[at]) : relu2_mul(gate[at], up[at]);
}

__global__ void __launch_bounds__(kThreads)
    gather_kernel(const float* x, const int32_t* rows, int64_t n, int64_t stride, float* y) {
  wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) y[blockIdx.y * stride + i] = x[rows[blockIdx.y] * stride + i];
}

dim3 grid_of(int64_t T, int64_t n) {
  return {static_cast<unsigned>((n + kThreads - 1) / kThreads), static_cast<unsigned>(T)};
}

}  // namespace

void gate_rows(StreamHandle stream, const float* gate, const float* up, int64_t T, int64_t n,
               int64_t stride, Epilogue epilogue, float* y) {
  launch_chained(stream, grid_of(T, n), dim3(kThreads), 0, glu_kernel, gate, up, n, stride,
                 epilogue == Epilogue::kSiluMul, y);
}

void gather_rows(StreamHandle stream, const float* x, const int32_t* rows, int64_t T, int64_t n,
                 int64_t stride, float* y) {
  launch_chained(stream, grid_of(T, n), dim3(kThreads), 0, gather_kernel, x, rows, n, stride, y);
}

}  // namespace trit::cuda
