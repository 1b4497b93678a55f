#include <algorithm>

#include "kernels/cuda/dense_any.h"
#include "kernels/cuda/dense_blocks.h"
#include "kernels/cuda/dense_half.h"
#include "kernels/cuda/dense_single.h"

namespace trit::cuda {
namespace {

int64_t half_shared_bytes(int stages, int64_t T, int64_t K) {
  return kHalfSumBytes + kHalfWarps * stages * kHalfStageBytes + T * half_x_stride(K) * 2;
}

template <class Step>
int64_t block_shared_bytes(int groups, int stages, int64_t T, int64_t K) {
  return kBlockWarps * (16 * block_sums(groups) * 4 + stages * BlockStage<Step>::kBytes) +
         T * 3 * block_x_stride(K) * 2;
}

template <class Half, int kStages>
void launch_half(StreamHandle stream, const DenseArguments& a) {
  const int64_t shared = half_shared_bytes(kStages, a.T, a.K);
  TRIT_CUDA(cudaFuncSetAttribute(dense_half<Half, kStages>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 device_limits().shared_bytes));
  const int64_t tiles = (a.rows + 15) / 16, most = device_limits().multiprocessors;
  // A layer's products with a norm stand between those without.
  launch_chained(stream, dim3(static_cast<unsigned>(tiles < most ? tiles : most)),
                 dim3(kHalfWarps * 32),
                 static_cast<size_t>(a.norm.there ? shared : without_sibling(shared)),
                 dense_half<Half, kStages>, a);
}

// Queues of 80 or 96 KB where two such kernels fit a multiprocessor, so that the next one's fill while this one ends;
// otherwise 64 KB, and as many tokens at a time as there is room for their x. False when there is none.
template <class Half>
bool dense_half_rows(StreamHandle stream, DenseArguments a) {
  const int64_t room =
      (device_limits().shared_bytes - half_shared_bytes(4, 0, a.K)) / (half_x_stride(a.K) * 2);
  if (room < 1 || a.K % 8 != 0) return false;
  const int64_t most = device_limits().shared_bytes;
  if (!a.norm.there && half_shared_bytes(6, a.T, a.K) <= std::min(kNoSibling, most)) {
    launch_half<Half, 6>(stream, a);
    return true;
  }
  if (a.norm.there && half_shared_bytes(5, a.T, a.K) <= std::min(kBesideIt, most)) {
    launch_half<Half, 5>(stream, a);
    return true;
  }
  const int T = a.T;
  for (int t = 0; t < T; t += a.T) {
    a.T = static_cast<int>(T - t < room ? T - t : room);
    launch_half<Half, 4>(stream, a);
    a.x += a.T * a.x_stride;
    a.y += a.T * a.y_stride;
  }
  return true;
}

bool dense_single_rows(StreamHandle stream, DenseArguments a) {
  const int64_t fixed = single_shared_bytes(0, a.K);
  const int64_t room =
      (device_limits().shared_bytes - fixed) / (single_shared_bytes(1, a.K) - fixed);
  if (room < 1 || a.K % 4 != 0) return false;
  TRIT_CUDA(cudaFuncSetAttribute(dense_single, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 device_limits().shared_bytes));
  const int64_t blocks = (a.rows + kSingleRows * kSingleWarps - 1) / (kSingleRows * kSingleWarps);
  const int64_t most = device_limits().multiprocessors;
  const int T = a.T;
  for (int t = 0; t < T; t += a.T) {
    a.T = static_cast<int>(T - t < room ? T - t : room);
    launch_chained(stream, dim3(static_cast<unsigned>(blocks < most ? blocks : most)),
                   dim3(kSingleWarps * 32), static_cast<size_t>(single_shared_bytes(a.T, a.K)),
                   dense_single, a);
    a.x += a.T * a.x_stride;
    a.y += a.T * a.y_stride;
  }
  return true;
}

template <class Step, int kGroups, int kStages>
void launch_blocks(StreamHandle stream, const DenseArguments& a, int64_t row_bytes,
                   int64_t whole_rows) {
  TRIT_CUDA(cudaFuncSetAttribute(dense_blocks<Step, kGroups, kStages>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 device_limits().shared_bytes));
  // Enough warps to keep the memory busy; by the shape alone, since the order of summation follows.
  const int64_t tiles = (a.rows + 15) / 16, steps = (a.K + kBlockStep - 1) / kBlockStep;
  int splits = 1;
  while (splits < kBlockWarps && splits < steps && (whole_rows + 15) / 16 * splits < 1024)
    splits *= 2;
  const int64_t blocks = (tiles * splits + kBlockWarps - 1) / kBlockWarps;
  const int64_t most = device_limits().multiprocessors;
  launch_chained(stream, dim3(static_cast<unsigned>(blocks < most ? blocks : most)),
                 dim3(kBlockWarps * 32),
                 static_cast<size_t>(block_shared_bytes<Step>(kGroups, kStages, a.T, a.K)),
                 dense_blocks<Step, kGroups, kStages>, a, row_bytes, splits);
}

// One or two tokens are one group of eight columns. Otherwise as many tokens at a time as there is room for their x.
template <class Step>
bool dense_block_rows(StreamHandle stream, DenseForm form, DenseArguments a, int64_t whole_rows) {
  const int64_t row_bytes = dense_row_bytes(form, a.K), shared = device_limits().shared_bytes;
  const auto fits = [&](int groups, int stages, int64_t T) {
    return block_shared_bytes<Step>(groups, stages, T, a.K) <= shared;
  };
  if (!fits(1, 2, 1)) return false;
  const int T = a.T;
  for (int t = 0; t < T; t += a.T) {
    a.T = T - t;
    while (a.T > 2 && !fits(3, 2, a.T)) --a.T;
    if (a.T == 2 && !fits(1, 2, 2)) a.T = 1;
    if (a.T > 2)
      launch_blocks<Step, 3, 2>(stream, a, row_bytes, whole_rows);
    else if (fits(1, Step::kStages, a.T))
      launch_blocks<Step, 1, Step::kStages>(stream, a, row_bytes, whole_rows);
    else
      launch_blocks<Step, 1, 2>(stream, a, row_bytes, whole_rows);
    a.x += a.T * a.x_stride;
    a.y += a.T * a.y_stride;
  }
  return true;
}

// With the kernels that read at the speed of memory. False when the shape does not suit them.
bool dense_queued_rows(StreamHandle stream, DenseForm form, const DenseArguments& a,
                       int64_t whole_rows) {
  switch (form) {
    case DenseForm::kF32:
      return dense_single_rows(stream, a);
    case DenseForm::kF16:
      return dense_half_rows<__half>(stream, a);
    case DenseForm::kBF16:
      return dense_half_rows<__nv_bfloat16>(stream, a);
    case DenseForm::kQ8_0:
      return dense_block_rows<StepQ8_0>(stream, form, a, whole_rows);
    case DenseForm::kQ6_K:
      return dense_block_rows<StepQ6_K>(stream, form, a, whole_rows);
    case DenseForm::kQ4_0:
      return dense_block_rows<StepQ4_0>(stream, form, a, whole_rows);
    case DenseForm::kQ4_K:
      return dense_block_rows<StepQ4_K>(stream, form, a, whole_rows);
  }
  return false;
}

void dense_any_rows(StreamHandle stream, DenseForm form, const DenseArguments& a) {
  const int64_t outputs = is_glu(a.epilogue) ? a.rows / 2 : a.rows;
  with_form(form, [&](auto tag) {
    launch_chained(stream, dim3(static_cast<unsigned>((outputs + kAnyWarps - 1) / kAnyWarps)),
                   dim3(kAnyWarps * 32), 0, dense_any<tag.kIs>, a, dense_row_bytes(form, a.K));
  });
}

}  // namespace

void dense_linear_small(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride) {
  const DenseArguments a{.norm = norm,
                         .weights = layer.weights,
                         .rows = layer.rows,
                         .K = layer.columns,
                         .x = x,
                         .x_stride = x_stride,
                         .T = static_cast<int>(T),
                         .epilogue = epilogue,
                         .y = y,
                         .y_stride = y_stride};
  const int64_t whole_rows = layer.whole_rows > 0 ? layer.whole_rows : layer.rows;
  if (!dense_queued_rows(stream, layer.form, a, whole_rows)) dense_any_rows(stream, layer.form, a);
}

}  // namespace trit::cuda
