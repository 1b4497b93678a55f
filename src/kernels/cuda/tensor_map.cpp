#include "kernels/cuda/tensor_map.h"

#include "base/error.h"
#include "kernels/cuda/check.h"

namespace trit::cuda {
namespace {

// Asked of the driver, so that programs need no libcuda to start.
auto encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  TRIT_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                             cudaEnableDefault, &result));
  if (function == nullptr) failure("CUDA: the driver has no tensor maps; it must be 525 or newer");
  return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
}

}  // namespace

CUtensorMap tensor_map(CUtensorMapDataType type, CUtensorMapSwizzle swizzle, const void* data,
                       int64_t columns, int64_t rows, int64_t stride, int box_columns,
                       int box_rows) {
  static const auto encode = encoder();
  CUtensorMap map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_columns),
                            static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result =
      encode(&map, type, 2, const_cast<void*>(data), sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    failure("CUDA: no tensor map of {} x {}, rows {} bytes apart, at {} (error {})", rows, columns,
            stride, data, static_cast<int>(result));
  return map;
}

}  // namespace trit::cuda
