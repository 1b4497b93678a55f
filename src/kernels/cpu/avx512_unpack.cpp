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

#include "kernels/cpu/avx512_digits.h"

}  // namespace

void unpack_base3_avx512vbmi(const uint8_t* w, int64_t, int64_t, int64_t blocks, uint8_t* codes) {
  const DigitLookUp digits = digit_look_up();
  for (int64_t block = 0; block < blocks; block += 4, w += 256, codes += 5 * kGroupBytes) {
    const FourRegisters rows =
        side_by_side(_mm512_loadu_si512(w), _mm512_loadu_si512(w + 64), _mm512_loadu_si512(w + 128),
                     _mm512_loadu_si512(w + 192));
    const auto unpack = [&](__m512i bytes, int64_t r) __attribute__((always_inline)) {
      unpack_rows(bytes, digits, [&](int64_t i) { return codes + i * kGroupBytes + 64 * r; });
    };
    unpack(rows.a, 0);
    unpack(rows.b, 1);
    unpack(rows.c, 2);
    unpack(rows.d, 3);
  }
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
