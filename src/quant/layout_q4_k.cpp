// ggml's Q4_K: a block of 256 weights is eight groups of 32. Bytes: fp16 d, fp16 m; 12 bytes with a
// 6-bit scale s and a 6-bit minimum t for each group; 128 bytes of q = 0..15, of which each run of 32
// has group 2i in the low and group 2i + 1 in the high halves. A weight is d * s * q - m * t.

#include <algorithm>
#include <cmath>

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

void set_group_scale(uint8_t* six, int group, GroupScale g) {
  const auto add = [&](int byte, int bits) { six[byte] = static_cast<uint8_t>(six[byte] | bits); };
  if (group < 4) {
    add(group, g.scale);
    add(4 + group, g.minimum);
  } else {
    add(4 + group, (g.scale & 15) | (g.minimum & 15) << 4);
    add(group - 4, g.scale >> 4 << 6);
    add(group, g.minimum >> 4 << 6);
  }
}

// To the nearest integer from 0 to `most`; NaN is 0.
int nearest(double x, int most) {
  if (!(x > 0)) return 0;
  return static_cast<int>(std::min(x + 0.5, static_cast<double>(most)));
}

// A group is about scale * q - minimum, neither negative.
struct Line {
  double scale = 0, minimum = 0;
};

// The scale and minimum that bring the weights nearest to the codes q, in least squares.
Line fitted(const float* w, const int* q) {
  double sq = 0, sqq = 0, sw = 0, swq = 0;
  for (int j = 0; j < 32; ++j) {
    const double x = static_cast<double>(w[j]);
    sq += q[j];
    sqq += q[j] * q[j];
    sw += x;
    swq += x * q[j];
  }
  const double det = 32 * sqq - sq * sq;
  Line line;
  if (det > 0) line = {(32 * swq - sq * sw) / det, (sq * swq - sqq * sw) / det};
  if (line.minimum < 0) line = {sqq > 0 ? swq / sqq : 0, 0};
  return line;
}

double distance(const float* w, const int* q, const Line& line) {
  double sum = 0;
  for (int j = 0; j < 32; ++j) {
    const double off = line.scale * q[j] - line.minimum - static_cast<double>(w[j]);
    sum += off * off;
  }
  return sum;
}

// The best of some lines: codes that take the range in steps a little smaller or larger than it asks for, and
// what fits them best.
Line best_line(const float* w) {
  const auto [least, most] = std::minmax_element(w, w + 32);
  const double low = std::min(static_cast<double>(*least), 0.0), range = *most - low;
  Line best{0, -low};
  if (!(range > 0)) return best;
  best.scale = range / 15;
  double nearest_yet = -1;
  for (int i = 0; i <= 20; ++i) {
    const double inverse = (14 + 0.1 * i) / range;
    int q[32];
    for (int j = 0; j < 32; ++j) q[j] = nearest((static_cast<double>(w[j]) - low) * inverse, 15);
    const Line line = fitted(w, q);
    const double off = distance(w, q, line);
    if (nearest_yet >= 0 && !(off < nearest_yet)) continue;
    nearest_yet = off;
    best = line;
  }
  return best;
}

void encode(const float* weights, int64_t blocks, uint8_t* row) {
  for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
    std::memset(row, 0, kBytes);
    Line lines[8], largest;
    for (int group = 0; group < 8; ++group) {
      lines[group] = best_line(weights + 32 * group);
      largest.scale = std::max(largest.scale, lines[group].scale);
      largest.minimum = std::max(largest.minimum, lines[group].minimum);
    }
    store_f16(row, static_cast<float>(largest.scale / 63));
    store_f16(row + 2, static_cast<float>(largest.minimum / 63));
    const double d = load_f16(row), m = load_f16(row + 2);
    for (int group = 0; group < 8; ++group, weights += 32) {
      const GroupScale g{nearest(lines[group].scale / d, 63),
                         nearest(lines[group].minimum / m, 63)};
      set_group_scale(row + 4, group, g);
      uint8_t* halves = row + 16 + group / 2 * 32;
      for (int j = 0; j < 32; ++j) {
        const double q = (static_cast<double>(weights[j]) + m * g.minimum) / (d * g.scale);
        const int code = g.scale == 0 ? 0 : nearest(q, 15);
        halves[j] = static_cast<uint8_t>(halves[j] | code << (group % 2 * 4));
      }
    }
  }
}

}  // namespace

const PackedLayout kQ4_K = {
    "Q4_K", kBlock, kBytes,  0,      false, check_scales<kBlock, kBytes, 0, 2>,
    decode, encode, nullptr, nullptr};

}  // namespace trit
