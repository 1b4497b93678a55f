// The first half of the product of many tokens: packed tiles become a byte a weight.

#include "kernels/cpu/avx512_unpack.h"

#include "kernels/cpu/target.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")
namespace trit::kernels {

void unpack_two_bit_avx512(const uint8_t* w, int64_t tile_bytes, int64_t tiles, int64_t blocks,
                           uint8_t* codes) {
  const __m512i mask = _mm512_set1_epi8(3);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const uint8_t* from = w + tile * tile_bytes;
    uint8_t* to = codes + 64 * tile;
    for (int64_t block = 0; block < blocks; ++block, from += 64, to += 4 * kGroupBytes) {
      const __m512i four = _mm512_loadu_si512(from);
      _mm512_store_si512(to, _mm512_and_si512(four, mask));
      _mm512_store_si512(to + kGroupBytes, _mm512_and_si512(_mm512_srli_epi32(four, 2), mask));
      _mm512_store_si512(to + 2 * kGroupBytes, _mm512_and_si512(_mm512_srli_epi32(four, 4), mask));
      _mm512_store_si512(to + 3 * kGroupBytes, _mm512_and_si512(_mm512_srli_epi32(four, 6), mask));
    }
  }
}

namespace {

struct FourRegisters {
  __m512i a, b, c, d;
};

// Four registers of a byte for each of 64 rows -> four bytes side by side, in lanes of rows as the
// header has them.
TRIT_INLINE FourRegisters side_by_side(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  a = _mm512_permutexvar_epi32(order, a);
  b = _mm512_permutexvar_epi32(order, b);
  c = _mm512_permutexvar_epi32(order, c);
  d = _mm512_permutexvar_epi32(order, d);
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  return {_mm512_unpacklo_epi16(ab_low, cd_low), _mm512_unpackhi_epi16(ab_low, cd_low),
          _mm512_unpacklo_epi16(ab_high, cd_high), _mm512_unpackhi_epi16(ab_high, cd_high)};
}

TRIT_INLINE void store_codes(uint8_t* to, const FourRegisters& codes) {
  _mm512_store_si512(to, codes.a);
  _mm512_store_si512(to + 64, codes.b);
  _mm512_store_si512(to + 128, codes.c);
  _mm512_store_si512(to + 192, codes.d);
}

// v mod m for v < 3 m <= 243: what would be negative wraps to something large.
TRIT_INLINE __m512i modulo(__m512i v, int m) {
  v = _mm512_min_epu8(v, _mm512_sub_epi8(v, _mm512_set1_epi8(static_cast<char>(2 * m))));
  return _mm512_min_epu8(v, _mm512_sub_epi8(v, _mm512_set1_epi8(static_cast<char>(m))));
}

// The five digits of 64 rows by arithmetic: v - v mod 3^i is 0, 3^i or 2 3^i, which modulo 4 is the digit
// (3^i = 1 for even i) or its negative.
TRIT_INLINE void digits_of(__m512i bytes, __m512i* digits) {
  const __m512i offset = _mm512_set1_epi8(121), mask = _mm512_set1_epi8(3);
  const __m512i size = _mm512_and_si512(bytes, _mm512_set1_epi8(0x7F));
  const __m512i v =
      _mm512_mask_sub_epi8(_mm512_add_epi8(offset, size), _mm512_movepi8_mask(bytes), offset, size);
  const __m512i below81 = modulo(v, 81), below27 = modulo(below81, 27);
  const __m512i below9 = modulo(below27, 9), below3 = modulo(below9, 3);
  digits[4] = _mm512_and_si512(_mm512_sub_epi8(v, below81), mask);
  digits[3] = _mm512_and_si512(_mm512_sub_epi8(below27, below81), mask);
  digits[2] = _mm512_and_si512(_mm512_sub_epi8(below27, below9), mask);
  digits[1] = _mm512_and_si512(_mm512_sub_epi8(below3, below9), mask);
  digits[0] = below3;
}

}  // namespace

void unpack_base3_avx512vnni(const uint8_t* w, int64_t, int64_t, int64_t blocks, uint8_t* codes) {
  __m512i digits[20];
  for (int64_t block = 0; block < blocks; block += 4, w += 256) {
    for (int64_t i = 0; i < 4; ++i) digits_of(_mm512_loadu_si512(w + 64 * i), digits + 5 * i);
    for (int64_t g = 0; g < 20; g += 4, codes += kGroupBytes)
      store_codes(codes, side_by_side(digits[g], digits[g + 1], digits[g + 2], digits[g + 3]));
  }
}

}  // namespace trit::kernels
TRIT_TARGET_END

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")
namespace trit::kernels {
namespace {

// The digits of each magnitude + 121, two bits each: digits 0 to 3, and digits 1 to 4.
struct DigitTables {
  uint8_t low[128], high[128];
};
constexpr DigitTables digit_tables() {
  DigitTables tables{};
  for (int size = 0; size < 122; ++size) {
    int digits = 0;
    for (int i = 0, v = 121 + size; i < 5; ++i, v /= 3) digits |= v % 3 << (2 * i);
    tables.low[size] = static_cast<uint8_t>(digits);
    tables.high[size] = static_cast<uint8_t>(digits >> 2);
  }
  return tables;
}
alignas(64) constexpr DigitTables kDigits = digit_tables();

// Of each half of a quadword the four neighbouring fields of two bits from `bit` on, one to a byte.
TRIT_INLINE __m512i four_fields(__m512i from, int bit) {
  const int64_t fields = 0x0101010101010101 * bit + 0x2624222006040200;
  return _mm512_and_si512(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(fields), from),
                          _mm512_set1_epi8(3));
}

struct DigitLookUp {
  __m512i low0, low1, high0, high1;
};

// 16 rows of four neighbouring blocks' bytes -> their five groups of codes. The tables give four digits of a
// byte; taking the upper and the lower four in turn puts all of a group's digits next to each other.
TRIT_INLINE void unpack_rows(__m512i bytes, const DigitLookUp& digits, uint8_t* codes) {
  const __mmask64 negative = _mm512_movepi8_mask(bytes);
  const __m512i twos =
      _mm512_set1_epi8(static_cast<char>(0xAA));  // the digits of -s are 2 - those of s
  const __m512i low = _mm512_permutex2var_epi8(digits.low0, bytes, digits.low1);
  const __m512i high = _mm512_permutex2var_epi8(digits.high0, bytes, digits.high1);
  const __mmask64 odd = 0xAAAAAAAAAAAAAAAA;
  __m512i even_low = _mm512_mask_blend_epi8(odd, low, high);
  __m512i odd_low = _mm512_mask_blend_epi8(odd, high, low);
  even_low = _mm512_mask_sub_epi8(even_low, negative, twos, even_low);
  odd_low = _mm512_mask_sub_epi8(odd_low, negative, twos, odd_low);
  _mm512_store_si512(codes, four_fields(even_low, 0));
  _mm512_store_si512(codes + kGroupBytes, four_fields(odd_low, 6));
  _mm512_store_si512(codes + 2 * kGroupBytes, four_fields(even_low, 12));
  _mm512_store_si512(codes + 3 * kGroupBytes, four_fields(odd_low, 18));
  _mm512_store_si512(codes + 4 * kGroupBytes, four_fields(even_low, 24));
}

}  // namespace

void unpack_base3_avx512vbmi(const uint8_t* w, int64_t, int64_t, int64_t blocks, uint8_t* codes) {
  const DigitLookUp digits{_mm512_load_si512(kDigits.low), _mm512_load_si512(kDigits.low + 64),
                           _mm512_load_si512(kDigits.high), _mm512_load_si512(kDigits.high + 64)};
  for (int64_t block = 0; block < blocks; block += 4, w += 256, codes += 5 * kGroupBytes) {
    const FourRegisters rows =
        side_by_side(_mm512_loadu_si512(w), _mm512_loadu_si512(w + 64), _mm512_loadu_si512(w + 128),
                     _mm512_loadu_si512(w + 192));
    unpack_rows(rows.a, digits, codes);
    unpack_rows(rows.b, digits, codes + 64);
    unpack_rows(rows.c, digits, codes + 128);
    unpack_rows(rows.d, digits, codes + 192);
  }
}

void unpack_base3_half_avx512vbmi(const uint8_t* w, int64_t half, int64_t blocks, uint8_t* codes) {
  const DigitLookUp digits{_mm512_load_si512(kDigits.low), _mm512_load_si512(kDigits.low + 64),
                           _mm512_load_si512(kDigits.high), _mm512_load_si512(kDigits.high + 64)};
  for (int64_t block = 0; block < blocks; block += 4, w += 256, codes += 5 * kGroupBytes) {
    const FourRegisters rows =
        side_by_side(_mm512_loadu_si512(w), _mm512_loadu_si512(w + 64), _mm512_loadu_si512(w + 128),
                     _mm512_loadu_si512(w + 192));
    unpack_rows(half == 0 ? rows.a : rows.c, digits, codes);
    unpack_rows(half == 0 ? rows.b : rows.d, digits, codes + 64);
  }
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
