// ggml's Q6_K: a block of 256 weights is sixteen groups of 16. Bytes: 128 with the low four bits of
// q + 32, 64 with the high two, sixteen int8 scales s, fp16 d. A weight is d * s * q, q = -32..31.
//
// Each half of the block has 64 low bytes and 32 high bytes. Its weight 32 i + l (i = 0..3, l = 0..31)
// has the low bits in byte 32 (i mod 2) + l, in the low half for i < 2, else the high; the high bits
// in byte l at bits 2i.

#include <algorithm>
#include <cmath>

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr int64_t kBlock = 256, kBytes = 210, kHigh = 128, kScales = 192, kD = 208;

void split(const uint8_t* block, float* q) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = block + 64 * half, *high = block + kHigh + 32 * half;
    for (int i = 0; i < 4; ++i) {
      for (int l = 0; l < 32; ++l) {
        const int code = (low[i % 2 * 32 + l] >> (i / 2 * 4) & 15) | (high[l] >> (2 * i) & 3) << 4;
        q[128 * half + 32 * i + l] = static_cast<float>(code - 32);
      }
    }
  }
}

// The codes q + 32 to the block, whose bytes are zero.
void join(const uint8_t* codes, uint8_t* block) {
  for (int half = 0; half < 2; ++half) {
    uint8_t *low = block + 64 * half, *high = block + kHigh + 32 * half;
    for (int i = 0; i < 4; ++i) {
      for (int l = 0; l < 32; ++l) {
        const int code = codes[128 * half + 32 * i + l];
        uint8_t& four = low[i % 2 * 32 + l];
        four = static_cast<uint8_t>(four | (code & 15) << (i / 2 * 4));
        high[l] = static_cast<uint8_t>(high[l] | code >> 4 << (2 * i));
      }
    }
  }
}

void decode(const uint8_t* row, int64_t blocks, float* weights) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    float q[kBlock];
    split(row, q);
    const float d = load_f16(row + kD);
    for (int64_t j = 0; j < kBlock; ++j) {
      weights[j] = d * static_cast<float>(static_cast<int8_t>(row[kScales + j / 16])) * q[j];
    }
  }
}

// x, of less than 2^22, to the nearest integer, ties to even, then within the bounds. Adding 1.5 * 2^23
// leaves no bits for a fraction; unlike nearbyint it vectorises.
float nearest(float x, float low, float high) {
  constexpr float kNoFraction = 0x1.8p23f;
  const float rounded = (x + kNoFraction) - kNoFraction;
  const float above = rounded < low ? low : rounded;
  return above > high ? high : above;
}

// The scale s of 16 weights that makes the sum of w^2 (w - s q)^2 least among those that bring the
// largest weight near -32. For given q the best is sum(w^3 q) / sum(w^2 q^2), which takes
// sum(w^3 q)^2 / sum(w^2 q^2) off that sum. 0 when all weights are.
float best_scale(const float* w) {
  constexpr int kTries = 20;  // 31.0, 31.1, ... 32.9
  const float extreme =
      *std::max_element(w, w + 16, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  if (extreme == 0.0f) return 0.0f;
  float wq[kTries] = {}, qq[kTries] = {};
  for (int j = 0; j < 16; ++j) {
    const float x = w[j] / extreme, square = x * x, cube = square * x;
    for (int i = 0; i < kTries; ++i) {
      const float q = nearest(-(31.0f + 0.1f * static_cast<float>(i)) * x, -32.0f, 31.0f);
      wq[i] += cube * q;
      qq[i] += square * q * q;
    }
  }
  int best = 0;
  for (int i = 1; i < kTries; ++i) {
    if (wq[i] * wq[i] * qq[best] > wq[best] * wq[best] * qq[i]) best = i;
  }
  return wq[best] / qq[best] * extreme;
}

void encode(const float* weights, int64_t blocks, uint8_t* row) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes, weights += kBlock) {
    std::memset(row, 0, kBytes);
    float scales[16], extreme = 0.0f;
    for (int g = 0; g < 16; ++g) {
      scales[g] = best_scale(weights + 16 * g);
      if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
    }
    store_f16(row + kD, extreme / -128.0f);
    const float d = load_f16(row + kD);
    uint8_t codes[kBlock];
    for (int g = 0; g < 16; ++g) {
      const float s = d == 0.0f ? 0.0f : nearest(scales[g] / d, -128.0f, 127.0f);
      row[kScales + g] = static_cast<uint8_t>(static_cast<int8_t>(s));
      for (int j = 16 * g; j < 16 * g + 16; ++j) {
        const float q = s == 0.0f ? 0.0f : nearest(weights[j] / (d * s), -32.0f, 31.0f);
        codes[j] = static_cast<uint8_t>(static_cast<int>(q) + 32);
      }
    }
    join(codes, row);
  }
}

}  // namespace

const PackedLayout kQ6_K = {
    "Q6_K", kBlock, kBytes,  0,      false, check_scales<kBlock, kBytes, kD>,
    decode, encode, nullptr, nullptr};

}  // namespace trit
