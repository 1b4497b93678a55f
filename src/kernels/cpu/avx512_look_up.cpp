// Products of base-3 tiles with few rows of activations by look-up, AVX-512 with VBMI and GFNI. The signed sum of
// five activations takes one byte of weights: its magnitude's index is looked up in a table of 128 entries of 16
// bits, low and high bytes apart, and the sign bit inverts them. An inverted sum is one less than the negative:
// the tile's tail says how often.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "quant/tiles.h"

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,gfni")
namespace trit::kernels {
namespace {

#include "kernels/cpu/tile_walk.h"

TRIT_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }

// ---- Tables ----
// Entry m of a block: the sum over l_i x_i, l the balanced base-3 digits of m. Low bytes of entries 0 to 127, then
// high bytes.

// Which of 27 sums of three inputs and of 5 sums of two make entry m: m + 13 = 27 k + r.
struct Parts {
  alignas(64) uint16_t of_three[128], of_two[128];
};
constexpr Parts parts() {
  Parts p{};
  for (uint16_t m = 0; m < 128; ++m) {
    const int n = m <= 121 ? m + 13 : 13;  // the others do not occur
    p.of_three[m] = static_cast<uint16_t>(n % 27);
    p.of_two[m] = static_cast<uint16_t>(n / 27);
  }
  return p;
}
constexpr Parts kParts = parts();

// Digits - 1, 0 or 1 of the 27 sums of three inputs, and of the 5 sums of two: 0, x3, x4 - x3, x4, x4 + x3.
struct Digits {
  alignas(64) int16_t first[32], second[32], third[32], fourth[32], fifth[32];
};
constexpr Digits digits() {
  Digits d{};
  for (int r = 0; r < 27; ++r) {
    d.first[r] = static_cast<int16_t>(r % 3 - 1);
    d.second[r] = static_cast<int16_t>(r / 3 % 3 - 1);
    d.third[r] = static_cast<int16_t>(r / 9 - 1);
  }
  for (int k = 0; k < 5; ++k) {
    d.fourth[k] = static_cast<int16_t>((k + 1) % 3 - 1);
    d.fifth[k] = static_cast<int16_t>((k + 1) / 3);
  }
  return d;
}
constexpr Digits kDigits = digits();

struct Bytes {
  alignas(64) uint8_t byte[64];
};
constexpr Bytes every_second_byte(uint8_t from) {
  Bytes b{};
  for (uint8_t i = 0; i < 64; ++i) b.byte[i] = static_cast<uint8_t>(2 * i + from);
  return b;
}
constexpr Bytes kLow = every_second_byte(0), kHigh = every_second_byte(1);

TRIT_INLINE __m512i times(const int16_t* digit, int8_t x) {
  return _mm512_mullo_epi16(load(digit), _mm512_set1_epi16(x));
}

// 32 entries from the m-th.
TRIT_INLINE __m512i entries(__m512i of_three, __m512i of_two, int m) {
  return _mm512_add_epi16(_mm512_permutexvar_epi16(load(kParts.of_three + m), of_three),
                          _mm512_permutexvar_epi16(load(kParts.of_two + m), of_two));
}

constexpr int64_t kTableBytes = 256;

TRIT_INLINE void make_table(const int8_t* x, uint8_t* table) {
  const __m512i of_three =
      _mm512_add_epi16(times(kDigits.first, x[0]),
                       _mm512_add_epi16(times(kDigits.second, x[1]), times(kDigits.third, x[2])));
  const __m512i of_two = _mm512_add_epi16(times(kDigits.fourth, x[3]), times(kDigits.fifth, x[4]));
  const __m512i low = load(kLow.byte), high = load(kHigh.byte);
  for (int half = 0; half < 2; ++half) {
    const __m512i a = entries(of_three, of_two, 64 * half);
    const __m512i b = entries(of_three, of_two, 64 * half + 32);
    _mm512_storeu_si512(table + 64 * half, _mm512_permutex2var_epi8(a, low, b));
    _mm512_storeu_si512(table + 128 + 64 * half, _mm512_permutex2var_epi8(a, high, b));
  }
}

// ---- Sums ----

// Types of their lanes, not __m512i: g++ 12 moves sums about that change their type in a loop.
using U16 = uint16_t __attribute__((vector_size(64)));
using U8 = uint8_t __attribute__((vector_size(64)));

// Of 64 rows, modulo what the lanes hold: `both` and `odd` add up low bytes, as words of two rows and as the upper
// one alone; `high` adds up high bytes.
template <int N>
struct Sums {
  U16 both, odd;
  U8 high;
  Sums<N - 1> rest;
};
template <>
struct Sums<0> {};

struct BlockTable {
  __m512i low0, low1, high0, high1;
};

TRIT_INLINE void add_block(Sums<0>&, const uint8_t*, const uint8_t*, int64_t, const BlockTable&) {}
template <int N>
TRIT_INLINE void add_block(Sums<N>& s, const uint8_t* w, const uint8_t* next, int64_t tile_bytes,
                           const BlockTable& table) {
  const __m512i codes = load(w);
  prefetch(next);
  const __m512i sign =  // the top bit in all bits
      _mm512_gf2p8affine_epi64_epi8(codes, _mm512_set1_epi8(static_cast<char>(0x80)), 0);
  const __m512i low =
      _mm512_xor_si512(sign, _mm512_permutex2var_epi8(table.low0, codes, table.low1));
  const __m512i high =
      _mm512_xor_si512(sign, _mm512_permutex2var_epi8(table.high0, codes, table.high1));
  s.both += reinterpret_cast<U16>(low);
  s.odd += reinterpret_cast<U16>(low) >> 8;
  s.high += reinterpret_cast<U8>(high);
  add_block(s.rest, w + tile_bytes, next + tile_bytes, tile_bytes, table);
}

TRIT_INLINE void add_words(__m256i words, int32_t* y) {
  _mm512_storeu_si512(y, _mm512_add_epi32(load(y), _mm512_cvtepi16_epi32(words)));
}

TRIT_INLINE void add_to(const Sums<0>&, int32_t*) {}
template <int N>
TRIT_INLINE void add_to(const Sums<N>& s, int32_t* y) {
  const U16 high = reinterpret_cast<U16>(s.high);
  const __m512i even = reinterpret_cast<__m512i>(s.both - (s.odd << 8) + (high << 8));
  const __m512i odd = reinterpret_cast<__m512i>(s.odd + (high & 0xFF00));
  // Rows 0 to 7, 16 to 23, 32 to 39, 48 to 55, and the others.
  const __m512i a = _mm512_unpacklo_epi16(even, odd), b = _mm512_unpackhi_epi16(even, odd);
  const __m512i first = _mm512_permutex2var_epi64(a, _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), b);
  const __m512i second =
      _mm512_permutex2var_epi64(a, _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4), b);
  add_words(_mm512_castsi512_si256(first), y);
  add_words(_mm512_extracti64x4_epi64(first, 1), y + 16);
  add_words(_mm512_castsi512_si256(second), y + 32);
  add_words(_mm512_extracti64x4_epi64(second, 1), y + 48);
  add_to(s.rest, y + kBase3Rows);
}

struct LookUp {
  static constexpr int64_t kRows = kBase3Rows, kTail = kBase3Tail;
  static constexpr int64_t kMaxChunk = 51;  // of -641 to 640 each: 16 bits hold the sum

  const uint8_t* tables;
  int64_t row_bytes;

  template <int N>
  void chunk(const Chunk& c, int64_t t, int32_t* y) const {
    Sums<N> sums{};
    const uint8_t* table = tables + t * row_bytes + c.first * kTableBytes;
    for (int64_t i = 0; i < c.blocks; ++i, table += kTableBytes) {
      add_block(sums, c.w + 64 * i, c.next + 64 * i, c.tile_bytes,
                {load(table), load(table + 64), load(table + 128), load(table + 192)});
    }
    add_to(sums, y);
  }

  void start(const uint8_t* tile, int64_t blocks, int64_t, int32_t* y) const {
    const uint8_t* negative = tile + 64 * blocks;
    for (int64_t r = 0; r < kRows; r += 16) {
      const __m256i counts = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(negative + 2 * r));
      _mm512_storeu_si512(y + r, _mm512_cvtepu16_epi32(counts));
    }
  }
};

}  // namespace

void base3_tables_avx512vbmi(const int8_t* x, int64_t blocks, uint8_t* tables) {
  for (int64_t i = 0; i < blocks; ++i) make_table(x + kBase3Inputs * i, tables + kTableBytes * i);
}

void base3_look_up_avx512vbmi(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t*,
                              int64_t, const int32_t*, const uint8_t* tables, int64_t T, int32_t* y,
                              int64_t y_stride) {
  walk_tiles(LookUp{tables, blocks * kTableBytes}, w, tiles, blocks, T, y, y_stride);
}

}  // namespace trit::kernels
TRIT_TARGET_END

#endif
