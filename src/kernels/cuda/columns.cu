// Columns that ranks computed, put side by side.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostRows = 65535;  // of a grid

__global__ void __launch_bounds__(kThreads)
    place_kernel(const float* all, int64_t all_stride, int64_t ranks, int64_t rank_size,
                 int64_t columns, bool add, float* full, int64_t full_stride) {
  wait_for_previous();
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (c >= columns) return;
  // The last rank whose first column is not behind c.
  const int64_t r = ((c + 1) * ranks - 1) / columns;
  const int64_t t = blockIdx.y;
  const float v = __ldcg(all + r * rank_size + t * all_stride + c - columns * r / ranks);
  float& to = full[t * full_stride + c];
  to = add ? __fadd_rn(to, v) : v;
}

}  // namespace

void place_columns(StreamHandle stream, const float* all, int64_t all_stride, int64_t ranks,
                   int64_t T, int64_t columns, Epilogue epilogue, float* full,
                   int64_t full_stride) {
  for (int64_t t = 0; t < T; t += kMostRows) {
    const dim3 grid(static_cast<unsigned>((columns + kThreads - 1) / kThreads),
                    static_cast<unsigned>(T - t < kMostRows ? T - t : kMostRows));
    launch_chained(stream, grid, dim3(kThreads), 0, place_kernel, all + t * all_stride, all_stride,
                   ranks, T * all_stride, columns, epilogue == Epilogue::kAdd,
                   full + t * full_stride, full_stride);
  }
}

}  // namespace trit::cuda
