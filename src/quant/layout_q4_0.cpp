// ggml's Q4_0: a block of 32 weights is an fp16 scale d and 16 bytes; byte j has weight j in its low
// and weight 16 + j in its high half, as q = 0..15; a weight is d * (q - 8).

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr int64_t kBlock = 32, kBytes = 18;

void decode(const uint8_t* row, int64_t blocks, float* weights) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    const float d = load_f16(row);
    for (int64_t j = 0; j < 16; ++j) {
      weights[j] = d * static_cast<float>((row[2 + j] & 15) - 8);
      weights[16 + j] = d * static_cast<float>((row[2 + j] >> 4) - 8);
    }
  }
}

}  // namespace

const PackedLayout kQ4_0 = {
    "Q4_0", kBlock,  kBytes,  0,      false, check_scales<kBlock, kBytes, 0>,
    decode, nullptr, nullptr, nullptr};

}  // namespace trit
