#pragma once
// What is inside a device page: 64 positions of one key/value head. For .cu files.
//
//   keys    [64][row], then values [64][row]; a row is D numbers of the type, filled up to a multiple of 8
//   scales  int8: a float32 for each key, then for each value; int4: a float16 for every 32 dims of them, [64][groups]
//
// Numbers are those of kernels/kv.h: f16 to nearest even, at most +-65504; int8 q = round(x 127 / max|x|); int4 by groups
// of 32 dims, stored as q + 8, the even dim in the low half of a byte.

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/kv.h"

namespace trit::cuda {

using kernels::kPagePositions;
using kernels::KvType;

struct PageForm {
  int row_bytes = 0;                                            // of a key or a value
  int groups = 0;                                               // scales of a row
  int scale_bytes = 0;                                          // of one
  int values = 0, key_scales = 0, value_scales = 0, bytes = 0;  // offsets of the parts, and all
};

inline __host__ __device__ PageForm page_form(KvType type, int D) {
  const int padded = (D + 7) / 8 * 8;
  PageForm f;
  const int bits = type == KvType::kF32    ? 32
                   : type == KvType::kF16  ? 16
                   : type == KvType::kInt8 ? 8
                                           : 4;
  f.row_bytes = padded * bits / 8;
  f.groups = type == KvType::kInt8 ? 1 : type == KvType::kInt4 ? (D + 31) / 32 : 0;
  f.scale_bytes = type == KvType::kInt4 ? 2 : 4;
  f.values = static_cast<int>(kPagePositions) * f.row_bytes;
  f.key_scales = 2 * f.values;
  const int scales = static_cast<int>(kPagePositions) * f.groups * f.scale_bytes;
  f.value_scales = f.key_scales + scales;
  f.bytes = (f.value_scales + scales + 255) / 256 * 256;
  return f;
}

#ifdef __CUDACC__
// Dims 8 i to 8 i + 7 of a row at `row`, whose scales are at `scales`.
template <KvType kType>
__device__ inline void load_eight(const std::byte* row, const std::byte* scales, int i,
                                  float (&v)[8]) {
  if constexpr (kType == KvType::kF32) {
    const float4* from = reinterpret_cast<const float4*>(row) + 2 * i;
    const float4 a = from[0], b = from[1];
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
  } else if constexpr (kType == KvType::kF16) {
    const uint4 four = *(reinterpret_cast<const uint4*>(row) + i);
    const uint32_t words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float2 two = __half22float2(*reinterpret_cast<const __half2*>(&words[j]));
      v[2 * j] = two.x, v[2 * j + 1] = two.y;
    }
  } else if constexpr (kType == KvType::kInt8) {
    const uint2 two = *(reinterpret_cast<const uint2*>(row) + i);
    const float scale = *reinterpret_cast<const float*>(scales);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const uint32_t word = j < 4 ? two.x : two.y;
      v[j] = scale * static_cast<float>(static_cast<int8_t>(word >> (8 * (j % 4))));
    }
  } else {
    const uint32_t word = *(reinterpret_cast<const uint32_t*>(row) + i);
    const float scale = __half2float(*(reinterpret_cast<const __half*>(scales) + i / 4));
#pragma unroll
    for (int j = 0; j < 8; ++j)
      v[j] = scale * static_cast<float>(static_cast<int>(word >> (4 * j) & 15U) - 8);
  }
}
#endif

}  // namespace trit::cuda
