#include "kernels/cuda/chain.h"
#include "kernels/cuda/dense.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256;

template <DenseForm kForm>
__global__ void embed_rows(const uint8_t* table, int64_t row_bytes, int64_t C,
                           const int32_t* tokens, float* x, int64_t x_stride) {
  wait_for_previous();
  const int64_t t = blockIdx.y, c = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (c < C) x[t * x_stride + c] = weight_at<kForm>(table + tokens[t] * row_bytes, c);
}

}  // namespace

void embed(StreamHandle stream, const DenseLayer& table, const int32_t* tokens, int64_t T, float* x,
           int64_t x_stride) {
  constexpr int64_t kMost = 65535;  // rows of a grid
  const int64_t C = table.columns;
  for (int64_t t = 0; t < T; t += kMost) {
    const dim3 grid(static_cast<unsigned>((C + kThreads - 1) / kThreads),
                    static_cast<unsigned>(T - t < kMost ? T - t : kMost));
    with_form(table.form, [&](auto form) {
      launch_chained(stream, grid, dim3(kThreads), 0, embed_rows<form.kIs>,
                     static_cast<const uint8_t*>(table.weights), dense_row_bytes(table.form, C), C,
                     tokens + t, x + t * x_stride, x_stride);
    });
  }
}

}  // namespace trit::cuda
