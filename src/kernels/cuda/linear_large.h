#pragma once
// The two ways of ternary products of many rows, by what the device has.

#include "kernels/cuda/kernels.h"

namespace trit::cuda::large {

struct Product {
  TernaryLayer layer;
  QuantizedRows x;
  int64_t T = 0;
  Epilogue epilogue = Epilogue::kStore;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool bf16 = false;          // y and add; kStore and kAdd only
  const void* add = nullptr;  // what kAdd adds; null: y
  int64_t add_stride = 0;
};

// mma.sync, compute capability 8.0 and all later.
void multiply_mma(StreamHandle stream, const Product& product);

// wgmma, capability 9.0 alone; products of training (bf16) come in tiles of 128 tokens, unshared. How the work is cut: tiles of 256 rows by `tokens`, each shared by `splits` blocks along
// the inputs.
struct Cut {
  int tokens = 128;
  int splits = 1;
};
inline constexpr int kTileTokens[] = {16, 32, 48, 64, 80, 96, 112, 128};
inline constexpr int kMostSplits = 8;  // blocks of a cluster, on all devices

// Clusters that the device holds at a time, by their blocks.
struct Room {
  int clusters[kMostSplits + 1] = {};
};
Room room_on_device();
Cut choose_cut(int64_t rows, int64_t columns, int64_t T, const Room& room);
void multiply_wgmma(StreamHandle stream, const Product& product, const Cut& cut);

}  // namespace trit::cuda::large
