// ggml's Q4_0: a block of 32 weights is an fp16 scale d and 16 bytes; byte j has weight j in its low
// and weight 16 + j in its high half, as q = 0..15; a weight is d * (q - 8).

#include <algorithm>
#include <cmath>

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

// d = w / -8 of the first weight w of the largest magnitude, q = w / d + 8 to nearest, before d is rounded to fp16:
// bit for bit what ggml's reference quantiser writes without FMA.
uint8_t code(float w, float inverse) {
  const float q = w * inverse + 8.5f;
  return q > 0.0f ? static_cast<uint8_t>(std::min(q, 15.0f))
                  : uint8_t{0};  // a subnormal d gives NaN: 0
}

void encode(const float* weights, int64_t blocks, uint8_t* row) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    const float extreme = *std::max_element(
        weights, weights + kBlock, [](float x, float y) { return std::fabs(x) < std::fabs(y); });
    const float d = extreme / -8.0f;
    const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
    store_f16(row, d);
    for (int64_t j = 0; j < 16; ++j) {
      row[2 + j] =
          static_cast<uint8_t>(code(weights[j], inverse) | code(weights[16 + j], inverse) << 4);
    }
  }
}

}  // namespace

const PackedLayout kQ4_0 = {"Q4_0", kBlock, kBytes,  0,      false, check_scales<kBlock, kBytes, 0>,
                            decode, encode, nullptr, nullptr};

}  // namespace trit
