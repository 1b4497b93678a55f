#include "kernels/cuda/linear_large.h"

#include <cstdint>
#include <iterator>

#include "kernels/cuda/check.h"
#include "kernels/cuda/training_products.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace large {
namespace {

int64_t quotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Nanoseconds that a tile takes on an H200 for 128 inputs, by kTileTokens: 128 tokens are bound by the tensor cores;
// 16 take no less than 32.
constexpr int64_t kStageTime[] = {286, 291, 330, 356, 390, 423, 490, 575};

}  // namespace

Cut choose_cut(int64_t rows, int64_t columns, int64_t T, const Room& room) {
  const int64_t blocks = mma_blocks(columns);
  Cut best;
  int64_t least = INT64_MAX;
  for (size_t i = 0; i < std::size(kTileTokens); ++i) {
    const int tokens = kTileTokens[i];
    const int64_t tiles = quotient(rows, 256) * quotient(T, tokens);
    for (int splits = 1; splits <= kMostSplits && splits <= blocks; ++splits) {
      if (splits > 1 && tiles > room.clusters[splits]) break;
      const int64_t turns = quotient(tiles, room.clusters[splits]);
      // Starting and writing a tile; and adding up.
      const int64_t time = turns * (quotient(blocks, splits) * kStageTime[i] + 2400 + 30 * tokens) +
                           (splits > 1 ? 1500 : 0);
      if (time >= least) continue;
      least = time;
      best = {tokens, splits};
    }
  }
  return best;
}

namespace {

void multiply(StreamHandle stream, const Product& product) {
  int device = 0, major = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  TRIT_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  if (major == 9) {
    static const Room room = room_on_device();  // all devices of a machine are taken to be alike
    multiply_wgmma(stream, product,
                   choose_cut(product.layer.rows, product.layer.columns, product.T, room));
  } else {
    multiply_mma(stream, product);
  }
}

}  // namespace
}  // namespace large

void ternary_linear_large(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                          int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                          const Scratch& /*scratch*/) {
  large::multiply(stream, {layer, x, T, epilogue, y, y_stride});
}

void ternary_forward(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                     int64_t T, ConstRows add, Rows y) {
  large::multiply(stream, {.layer = layer,
                           .x = x,
                           .T = T,
                           .epilogue = add.data == nullptr ? Epilogue::kStore : Epilogue::kAdd,
                           .y = y.data,
                           .y_stride = y.stride,
                           .bf16 = y.type == Float::kBF16,
                           .add = add.data,
                           .add_stride = add.stride});
}

}  // namespace trit::cuda
