// Microsoft's I2_S (bitnet.cpp, type id 36), in the form of the published files: canonical runs with
// the four bit pairs of each byte in reverse, then 32 bytes that begin with the one float32 scale. (Its
// ARM code has another order of the same size, in which no file was published.) Only rows of whole runs
// begin on a byte.

#include "quant/layout_parts.h"

namespace trit {
namespace {

// Bit pairs 0 1 2 3 of every byte become 3 2 1 0; its own reverse.
void reverse_pairs(const uint8_t* in, int64_t bytes, uint8_t* out) {
  for (int64_t i = 0; i < bytes; ++i) {
    const unsigned halves = in[i] >> 4 | (in[i] & 15) << 4;
    out[i] = static_cast<uint8_t>((halves >> 2 & 0x33) | (halves & 0x33) << 2);
  }
}

void to_trits(const uint8_t* row, int64_t blocks, uint8_t* packed, float*) {
  reverse_pairs(row, blocks * kRunBytes, packed);
}

void from_trits(const uint8_t* packed, const float*, int64_t blocks, uint8_t* row) {
  reverse_pairs(packed, blocks * kRunBytes, row);
}

}  // namespace

const PackedLayout kI2_S = {"I2_S",  kRun,    kRunBytes, 32,       false,
                            nullptr, nullptr, nullptr,   to_trits, from_trits};

}  // namespace trit
