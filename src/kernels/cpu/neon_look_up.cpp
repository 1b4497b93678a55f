// Products of base-3 tiles with few rows of activations by look-up, NEON. As in AVX-512 (avx512_look_up.cpp): the sum
// of five activations that a byte of weights stands for is looked up by its magnitude, low and high bytes apart, and
// inverted when it is negative; the tile's tail says how often an inverted sum is one less than the negative.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include "quant/tiles.h"

namespace trit::kernels {
namespace {

#include "kernels/cpu/tile_walk.h"

// ---- Tables ----
// Entry m of a block: the sum over l_i x_i, l the balanced base-3 digits of m. Low bytes of entries 0 to 127, then
// high bytes.

constexpr int64_t kTableBytes = 256;

// Digits of the 27 sums of three inputs, -1 to 1, the first fastest; then zeros.
struct Digits {
  alignas(16) int16_t first[32], second[32], third[32];
};
constexpr Digits digits() {
  Digits d{};
  for (int r = 0; r < 27; ++r) {
    d.first[r] = static_cast<int16_t>(r % 3 - 1);
    d.second[r] = static_cast<int16_t>(r / 3 % 3 - 1);
    d.third[r] = static_cast<int16_t>(r / 9 - 1);
  }
  return d;
}
constexpr Digits kDigits = digits();

void make_table(const int8_t* x, uint8_t* table) {
  int16_t of_three[32], entries[136];
  for (int r = 0; r < 32; r += 8) {
    int16x8_t sum = vmulq_n_s16(vld1q_s16(kDigits.first + r), x[0]);
    sum = vmlaq_n_s16(sum, vld1q_s16(kDigits.second + r), x[1]);
    vst1q_s16(of_three + r, vmlaq_n_s16(sum, vld1q_s16(kDigits.third + r), x[2]));
  }
  // Entry m is of_three[r] + of_two[k], m + 13 = 27 k + r: so the upper half of the 27 sums, then all of them with
  // what the other two inputs add; each next run of 27 overwrites what the last wrote behind its end.
  vst1q_s16(entries, vld1q_s16(of_three + 13));
  vst1q_s16(entries + 8, vld1q_s16(of_three + 21));
  const int16_t of_two[] = {x[3], static_cast<int16_t>(x[4] - x[3]), x[4],
                            static_cast<int16_t>(x[4] + x[3])};
  for (int k = 0; k < 4; ++k) {
    const int16x8_t more = vdupq_n_s16(of_two[k]);
    for (int r = 0; r < 32; r += 8)
      vst1q_s16(entries + 14 + 27 * k + r, vaddq_s16(vld1q_s16(of_three + r), more));
  }
  for (int m = 0; m < 128; m += 16) {
    const uint8x16_t a = vreinterpretq_u8_s16(vld1q_s16(entries + m));
    const uint8x16_t b = vreinterpretq_u8_s16(vld1q_s16(entries + m + 8));
    vst1q_u8(table + m, vuzp1q_u8(a, b));
    vst1q_u8(table + 128 + m, vuzp2q_u8(a, b));
  }
}

// ---- Sums ----

// Of two times 16 rows.
struct Pair {
  uint8x16_t first, second;
};

// Bytes 0 to 127 of a table. An index outside of what an instruction holds gives zeros (tbl) or what was there (tbx).
TRIT_INLINE Pair look_up(const uint8_t* table, Pair index) {
  const uint8x16x4_t low = vld1q_u8_x4(table);
  const Pair found{vqtbl4q_u8(low, index.first), vqtbl4q_u8(low, index.second)};
  const uint8x16x4_t high = vld1q_u8_x4(table + 64);
  const uint8x16_t begin = vdupq_n_u8(64);
  return {vqtbx4q_u8(found.first, high, vsubq_u8(index.first, begin)),
          vqtbx4q_u8(found.second, high, vsubq_u8(index.second, begin))};
}

// Of 16 rows, modulo what the lanes hold: `both` and `odd` add up low bytes, as words of two rows and as the upper
// one alone; `high` adds up high bytes.
struct Sums {
  uint16x8_t both, odd;
  uint8x16_t high;
};

TRIT_INLINE void add(Sums& s, uint8x16_t sign, uint8x16_t low_bytes, uint8x16_t high_bytes) {
  const uint16x8_t low = vreinterpretq_u16_u8(veorq_u8(sign, low_bytes));
  s.both = vaddq_u16(s.both, low);
  s.odd = vsraq_n_u16(s.odd, low, 8);
  s.high = vaddq_u8(s.high, veorq_u8(sign, high_bytes));
}
TRIT_INLINE uint8x16_t sign_of(uint8x16_t codes) { return vcltzq_s8(vreinterpretq_s8_u8(codes)); }

TRIT_INLINE void add_words(int16x8_t words, int32_t* y) {
  vst1q_s32(y, vaddw_s16(vld1q_s32(y), vget_low_s16(words)));
  vst1q_s32(y + 4, vaddw_high_s16(vld1q_s32(y + 4), words));
}

TRIT_INLINE void add_to(const Sums& s, int32_t* y) {
  const uint16x8_t high = vreinterpretq_u16_u8(s.high);
  const uint16x8_t even = vaddq_u16(vsubq_u16(s.both, vshlq_n_u16(s.odd, 8)), vshlq_n_u16(high, 8));
  const uint16x8_t odd = vaddq_u16(s.odd, vandq_u16(high, vdupq_n_u16(0xFF00)));
  add_words(vreinterpretq_s16_u16(vzip1q_u16(even, odd)), y);
  add_words(vreinterpretq_s16_u16(vzip2q_u16(even, odd)), y + 8);
}

struct LookUp {
  static constexpr int64_t kRows = kBase3Rows, kTail = kBase3Tail;
  static constexpr int64_t kMaxChunk = 51;  // of -641 to 640 each: 16 bits hold the sum

  const uint8_t* tables;
  int64_t row_bytes;

  // Half a tile at a time, for the registers' sake.
  static TRIT_INLINE void half_tile(const uint8_t* w, const uint8_t* next, int64_t blocks,
                                    const uint8_t* table, int32_t* y) {
    Sums first{}, second{};
    for (int64_t i = 0; i < blocks; ++i, w += 64, next += 64, table += kTableBytes) {
      prefetch(next);
      const Pair codes{vld1q_u8(w), vld1q_u8(w + 16)};
      const Pair index{vandq_u8(codes.first, vdupq_n_u8(127)),
                       vandq_u8(codes.second, vdupq_n_u8(127))};
      const Pair low = look_up(table, index), high = look_up(table + 128, index);
      add(first, sign_of(codes.first), low.first, high.first);
      add(second, sign_of(codes.second), low.second, high.second);
    }
    add_to(first, y);
    add_to(second, y + 16);
  }

  template <int N>
  void chunk(const Chunk& c, int64_t t, int32_t* y) const {
    const uint8_t* table = tables + t * row_bytes + c.first * kTableBytes;
    for (int64_t i = 0; i < 2 * N; ++i) {
      const int64_t at = i / 2 * c.tile_bytes + i % 2 * 32;
      half_tile(c.w + at, c.next + at, c.blocks, table, y + 32 * i);
    }
  }

  void start(const uint8_t* tile, int64_t blocks, int64_t, int32_t* y) const {
    for (int64_t r = 0; r < kRows; r += 4) {
      uint16x4_t negative;
      __builtin_memcpy(&negative, tile + 64 * blocks + 2 * r, sizeof negative);
      vst1q_s32(y + r, vreinterpretq_s32_u32(vmovl_u16(negative)));
    }
  }
};

}  // namespace

void base3_tables_neon(const int8_t* x, int64_t blocks, uint8_t* tables) {
  for (int64_t i = 0; i < blocks; ++i) make_table(x + kBase3Inputs * i, tables + kTableBytes * i);
}

void base3_look_up_neon(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t*, int64_t,
                        const int32_t*, const uint8_t* tables, int64_t T, int32_t* y,
                        int64_t y_stride) {
  walk_tiles(LookUp{tables, blocks * kTableBytes}, w, tiles, blocks, T, y, y_stride);
}

}  // namespace trit::kernels

#endif
