// How bytes of base 3 become codes by look-ups: for avx512_unpack.cpp and amx_codes.h. Included inside an anonymous
// namespace and a target region with VBMI. No include guard and no includes, on purpose.

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

struct DigitLookUp {
  __m512i low0, low1, high0, high1;
};
TRIT_INLINE DigitLookUp digit_look_up() {
  return {_mm512_load_si512(kDigits.low), _mm512_load_si512(kDigits.low + 64),
          _mm512_load_si512(kDigits.high), _mm512_load_si512(kDigits.high + 64)};
}

// Of each half of a quadword the four neighbouring fields of two bits from `bit` on, one to a byte.
TRIT_INLINE __m512i four_fields(__m512i from, int bit) {
  const int64_t fields = 0x0101010101010101 * bit + 0x2624222006040200;
  return _mm512_and_si512(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(fields), from),
                          _mm512_set1_epi8(3));
}

// 16 rows of four neighbouring blocks' bytes -> their five groups of codes, the i-th at at(i). The tables give four
// digits of a byte; taking the upper and the lower four in turn puts all of a group's digits next to each other.
template <class At>
TRIT_INLINE void unpack_rows(__m512i bytes, const DigitLookUp& digits, At at) {
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
  _mm512_store_si512(at(0), four_fields(even_low, 0));
  _mm512_store_si512(at(1), four_fields(odd_low, 6));
  _mm512_store_si512(at(2), four_fields(even_low, 12));
  _mm512_store_si512(at(3), four_fields(odd_low, 18));
  _mm512_store_si512(at(4), four_fields(even_low, 24));
}
