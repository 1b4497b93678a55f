// ggml's Q8_0: a block of 32 weights is an fp16 scale d and 32 int8 q; a weight is d * q.

#include <algorithm>
#include <cmath>

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr int64_t kBlock = 32, kBytes = 34;

void decode(const uint8_t* row, int64_t blocks, float* weights) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    const float d = load_f16(row);
    for (int64_t j = 0; j < kBlock; ++j) {
      weights[j] = static_cast<float>(static_cast<int8_t>(row[2 + j])) * d;
    }
  }
}

// d = max|w| / 127 in float32, q = w * (1 / d) to nearest, halves away from zero, before d is rounded
// to fp16: bit for bit what ggml's reference quantiser writes.
void encode(const float* weights, int64_t blocks, uint8_t* row) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    float largest = 0.0f;
    for (int64_t j = 0; j < kBlock; ++j) largest = std::max(largest, std::fabs(weights[j]));
    const float d = largest / 127.0f;
    const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
    store_f16(row, d);
    for (int64_t j = 0; j < kBlock; ++j) {
      // A subnormal d can have an infinite inverse.
      const float q = std::clamp(std::round(weights[j] * inverse), -127.0f, 127.0f);
      row[2 + j] = static_cast<uint8_t>(static_cast<int8_t>(std::isnan(q) ? 0.0f : q));
    }
  }
}

}  // namespace

const PackedLayout kQ8_0 = {"Q8_0", kBlock, kBytes,  0,      false, check_scales<kBlock, kBytes, 0>,
                            decode, encode, nullptr, nullptr};

}  // namespace trit
