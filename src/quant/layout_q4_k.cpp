// ggml's Q4_K: a block of 256 weights is eight groups of 32. Bytes: fp16 d, fp16 m; 12 bytes with a
// 6-bit scale s and a 6-bit minimum t for each group; 128 bytes of q = 0..15, of which each run of 32
// has group 2i in the low and group 2i + 1 in the high halves. A weight is d * s * q - m * t.

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr int64_t kBlock = 256, kBytes = 144;

// Groups 0 to 3 have s in the low six bits of bytes 0 to 3 and t in those of bytes 4 to 7. Groups 4
// to 7 have their low four bits in bytes 8 to 11 (s below t), the high two on top of the former.
struct GroupScale {
  int scale, minimum;
};
GroupScale group_scale(const uint8_t* six, int group) {
  if (group < 4) return {six[group] & 63, six[4 + group] & 63};
  const int low = six[4 + group];
  return {(low & 15) | six[group - 4] >> 6 << 4, low >> 4 | six[group] >> 6 << 4};
}

void decode(const uint8_t* row, int64_t blocks, float* weights) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
    const float d = load_f16(row), m = load_f16(row + 2);
    for (int group = 0; group < 8; ++group, weights += 32) {
      const GroupScale six = group_scale(row + 4, group);
      const float scale = d * static_cast<float>(six.scale);
      const float minimum = m * static_cast<float>(six.minimum);
      const uint8_t* halves = row + 16 + group / 2 * 32;
      for (int j = 0; j < 32; ++j) {
        weights[j] = scale * static_cast<float>(halves[j] >> (group % 2 * 4) & 15) - minimum;
      }
    }
  }
}

}  // namespace

const PackedLayout kQ4_K = {
    "Q4_K", kBlock,  kBytes,  0,      false, check_scales<kBlock, kBytes, 0, 2>,
    decode, nullptr, nullptr, nullptr};

}  // namespace trit
