// ggml's Q2_0 (64 weights) and Prism's PQ2_0 (128 weights): an fp16 scale d, then four codes a byte,
// weight j in byte j / 4 at bits 2 (j mod 4); a weight is d * (code - 1). Code 3, level 2, exists, but
// no ternary model has it.

#include <algorithm>
#include <bit>

#include "quant/layout_parts.h"

namespace trit {
namespace {

// The four codes of a byte to four bytes, in one word.
void spread(uint8_t byte, uint8_t* codes) {
  static_assert(std::endian::native == std::endian::little);
  const uint32_t b = byte, word = (b | b << 6 | b << 12 | b << 18) & 0x03030303u;
  std::memcpy(codes, &word, sizeof word);
}

template <int64_t kBlock>
struct InOrder {
  static constexpr int64_t kCodeBytes = kBlock / 4, kBytes = 2 + kCodeBytes;

  static void to_trits(const uint8_t* row, int64_t blocks, uint8_t* packed, float* scales) {
    uint8_t codes[kRun];
    for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
      scales[b] = load_f16(row);
      uint8_t* out = codes + b * kBlock % kRun;
      for (int64_t i = 0; i < kCodeBytes; ++i) spread(row[2 + i], out + 4 * i);
      if (b + 1 == blocks) std::fill(out + kBlock, codes + kRun, uint8_t{1});
      if (out + kBlock == codes + kRun || b + 1 == blocks) {
        join_run(codes, packed + b * kBlock / kRun * kRunBytes);
      }
    }
  }

  static void from_trits(const uint8_t* packed, const float* scales, int64_t blocks, uint8_t* row) {
    uint8_t codes[kRun];
    for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
      split_run(packed + b * kBlock / kRun * kRunBytes, codes);
      const uint8_t* in = codes + b * kBlock % kRun;
      store_f16(row, scales[b]);
      for (int64_t i = 0; i < kCodeBytes; ++i) {
        row[2 + i] = static_cast<uint8_t>(in[4 * i] | in[4 * i + 1] << 2 | in[4 * i + 2] << 4 |
                                          in[4 * i + 3] << 6);
      }
    }
  }

  static constexpr PackedLayout layout(std::string_view name) {
    return {name,    kBlock,  kBytes,   0,         true, check_scales<kBlock, kBytes, 0>,
            nullptr, nullptr, to_trits, from_trits};
  }
};

}  // namespace

const PackedLayout kQ2_0 = InOrder<64>::layout("Q2_0");
const PackedLayout kPQ2_0 = InOrder<128>::layout("PQ2_0");

}  // namespace trit
