#pragma once
// What Hopper's copy engine needs to know of a matrix (CUDA driver API, "Tensor Map Object Management").

#include <cuda.h>

#include <cstdint>

namespace trit::cuda {

// [rows, columns] elements in device memory, aligned to 16 bytes, rows `stride` bytes apart (a multiple of 16), read
// in boxes of box_columns x box_rows (at most 256 each); what lies outside reads as zeros. Goes to kernels as a
// __grid_constant__ parameter. Throws Error when the driver refuses it.
CUtensorMap tensor_map(CUtensorMapDataType type, CUtensorMapSwizzle swizzle, const void* data,
                       int64_t columns, int64_t rows, int64_t stride, int box_columns,
                       int box_rows);

}  // namespace trit::cuda
