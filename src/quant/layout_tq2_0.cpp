// ggml's TQ2_0: a block of 256 weights is two canonical runs and an fp16 scale.

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr int64_t kBlock = 256, kTrits = 2 * kRunBytes, kBytes = kTrits + 2;

void to_trits(const uint8_t* row, int64_t blocks, uint8_t* packed, float* scales) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
    std::memcpy(packed + b * kTrits, row, kTrits);
    scales[b] = load_f16(row + kTrits);
  }
}

void from_trits(const uint8_t* packed, const float* scales, int64_t blocks, uint8_t* row) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
    std::memcpy(row, packed + b * kTrits, kTrits);
    store_f16(row + kTrits, scales[b]);
  }
}

}  // namespace

const PackedLayout kTQ2_0 = {
    "TQ2_0", kBlock,  kBytes,   0,         false, check_scales<kBlock, kBytes, kTrits>,
    nullptr, nullptr, to_trits, from_trits};

}  // namespace trit
