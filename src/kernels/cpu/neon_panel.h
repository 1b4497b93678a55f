// Products of tiles with many rows of activations, for NEON. Sixteen rows of weights are unpacked, a panel of
// their inputs at a time, to one byte a level; all rows of activations meet a panel while it is in the L1 cache.
// In a panel the levels of four inputs of a row lie side by side:
//
//   [input / 4][row][input % 4]        64 bytes, four registers of four rows, are a "quad" of inputs
//
// Each instruction set multiplies a panel in its own way. Its Core gives
//
//   arrange(levels, quads)             may reorder a panel; returns its quads, filled up with zeros
//   multiply<T>(levels, quads, x, x_stride, y, y_stride)        adds to y, T = 1 to kTokens rows
//
// Included once by each instruction set inside its anonymous namespace and target region.

constexpr int64_t kPanelInputs = 640;  // whole blocks of both forms of tiles

TRIT_INLINE int8x16_t four_of(const int8_t* x) {  // the same four bytes in each lane
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

struct TwoBitTiles {
  const uint8_t* w;
  int64_t blocks;
  int64_t groups(int64_t tiles) const { return tiles; }  // of sixteen rows
  int64_t inputs() const { return 16 * blocks; }

  void unpack(int64_t group, int64_t first, int64_t inputs, int8_t* levels) const {
    const uint8_t* block = w + (group * blocks + first / 16) * 64;
    const uint8x16_t code = vdupq_n_u8(3);
    const int8x16_t one = vdupq_n_s8(1);
    const auto put = [&](int8_t* to, uint8x16_t codes) {
      vst1q_s8(to, vsubq_s8(vreinterpretq_s8_u8(codes), one));
    };
    for (int64_t i = 0; i < inputs; i += 16, block += 64, levels += 256) {
      for (int64_t rows = 0; rows < 64; rows += 16) {
        const uint8x16_t c = vld1q_u8(block + rows);
        put(levels + rows, vandq_u8(c, code));
        put(levels + 64 + rows, vandq_u8(vshrq_n_u8(c, 2), code));
        put(levels + 128 + rows, vandq_u8(vshrq_n_u8(c, 4), code));
        put(levels + 192 + rows, vshrq_n_u8(c, 6));
      }
    }
  }
};

struct Base3Tiles {
  const uint8_t* w;
  int64_t blocks;
  int64_t groups(int64_t tiles) const { return 4 * tiles; }
  int64_t inputs() const { return 5 * blocks; }

  // The digit of weight `power` (81, 27, 9 or 3), taken out of s; what is left is at most (power - 1) / 2 in size.
  static TRIT_INLINE int8x16_t digit(int8x16_t& s, int8_t power) {
    const int8x16_t half = vdupq_n_s8(static_cast<int8_t>(power / 2));
    const uint8x16_t plus = vcgtq_s8(s, half), minus = vcltq_s8(s, vnegq_s8(half));
    const int8x16_t level = vreinterpretq_s8_u8(vsubq_u8(minus, plus));  // all bits set: -1
    s = vmlsq_s8(s, level, vdupq_n_s8(power));
    return level;
  }

  static TRIT_INLINE void unpack_block(const uint8_t* rows, int8_t* levels) {
    const int8x16_t byte = vreinterpretq_s8_u8(vld1q_u8(rows));
    const int8x16_t sign = vshrq_n_s8(byte, 7);
    const int8x16_t magnitude = vandq_s8(byte, vdupq_n_s8(127));
    int8x16_t s = vsubq_s8(veorq_s8(magnitude, sign), sign);
    vst1q_s8(levels + 64, digit(s, 81));
    vst1q_s8(levels + 48, digit(s, 27));
    vst1q_s8(levels + 32, digit(s, 9));
    vst1q_s8(levels + 16, digit(s, 3));
    vst1q_s8(levels, s);
  }

  void unpack(int64_t group, int64_t first, int64_t inputs, int8_t* levels) const {
    const uint8_t* block = w + group / 4 * (64 * blocks + 128) + first / 5 * 64 + group % 4 * 16;
    for (int64_t i = 0; i < inputs; i += 20) {
      int8_t columns[20][16];  // sixteen rows of an input
      for (int64_t b = 0; b < 4; ++b, block += 64) unpack_block(block, columns[5 * b]);
      for (int64_t k = 0; k < 20; k += 4, levels += 64) {
        const int8x16x4_t four = {{vld1q_s8(columns[k]), vld1q_s8(columns[k + 1]),
                                   vld1q_s8(columns[k + 2]), vld1q_s8(columns[k + 3])}};
        vst4q_s8(levels, four);
      }
    }
  }
};

template <class Core>
TRIT_INLINE void multiply_panel(const int8_t* levels, int64_t quads, const int8_t* x,
                                int64_t x_stride, int64_t T, int32_t* y, int64_t y_stride) {
  for (; T >= Core::kTokens; T -= Core::kTokens) {
    Core::template multiply<Core::kTokens>(levels, quads, x, x_stride, y, y_stride);
    x += Core::kTokens * x_stride;
    y += Core::kTokens * y_stride;
  }
  for (; T >= 2; T -= 2, x += 2 * x_stride, y += 2 * y_stride)
    Core::template multiply<2>(levels, quads, x, x_stride, y, y_stride);
  if (T == 1) Core::template multiply<1>(levels, quads, x, x_stride, y, y_stride);
}

template <class Core, class Tiles>
void multiply_tiles(const Tiles& tiles, int64_t count, const int8_t* x, int64_t x_stride, int64_t T,
                    int32_t* y, int64_t y_stride) {
  alignas(64) int8_t levels[16 * kPanelInputs];
  for (int64_t group = 0; group < tiles.groups(count); ++group, y += 16) {
    for (int64_t t = 0; t < T; ++t) __builtin_memset(y + t * y_stride, 0, 16 * sizeof(int32_t));
    for (int64_t k = 0; k < tiles.inputs(); k += kPanelInputs) {
      const int64_t left = tiles.inputs() - k, inputs = left < kPanelInputs ? left : kPanelInputs;
      tiles.unpack(group, k, inputs, levels);
      multiply_panel<Core>(levels, Core::arrange(levels, inputs / 4), x + k, x_stride, T, y,
                           y_stride);
    }
  }
}
