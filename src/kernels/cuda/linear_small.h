#pragma once
// For linear_small*.cu, their test and their benchmark: how the product of up to 8 rows is cut.
//
// A block multiplies one tile of 16 weight rows at a time, or the two of a pair of gate and up, and its warps share
// the tile's inputs. Every lane keeps `depth` loads of 16 bytes in flight, those of the block's next tile too.

#include "kernels/cuda/kernels.h"

namespace trit::cuda {
struct DeviceLimits;  // chain.h
}
namespace trit::cuda::small {

struct Product {
  TernaryLayer layer;
  QuantizedRows x;
  int64_t T = 0;
  Epilogue epilogue = Epilogue::kStore;
  float* y = nullptr;
  int64_t y_stride = 0;
};
struct Cut {
  int warps = 8;   // of a block: 8 or 16
  int depth = 4;   // 1, 2, 3, 4, 6 or 8
  int blocks = 1;  // of the grid, or clusters of `ranks` blocks that divide the inputs
  int ranks = 1;   // more than 1: 16 warps, depth 8
};
inline constexpr int kDepths[] = {1, 2, 3, 4, 6, 8};

inline bool of_pairs(Epilogue e) { return e == Epilogue::kSiluMul || e == Epilogue::kRelu2Mul; }

// Shared memory of a block.
int64_t shared_bytes(int64_t columns, int64_t T, int warps, int ranks);
// T rows of `columns` inputs fit into a block's memory.
bool fits(int64_t columns, int64_t T, int warps, int ranks, int64_t shared_bytes);
Cut choose_cut(const TernaryLayer& layer, int64_t T, bool pairs, const DeviceLimits& device);
void multiply(StreamHandle stream, const Product& product, const Cut& cut);

}  // namespace trit::cuda::small
