// How AVX-512 reads rows of weights as floats: the bits of float_rows.h and ggml_rows.h, whose conversions g++ 12 and
// clang 14 do not find single instructions for. No include guard and no includes, on purpose: a file includes this
// inside its own anonymous namespace and target region.

TRIT_INLINE __m128i load_128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
TRIT_INLINE __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
TRIT_INLINE __m512 splat_half(const void* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(bits)));
}
TRIT_INLINE __m512 floats_of_i8(__m128i q) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)); }

// g++ takes what was just stored out of the register again, which costs port 5 an instruction where a load is free.
template <class T, size_t N>
TRIT_INLINE void keep_in_memory(T (&array)[N]) {
  asm("" : "+m"(array));
}

// ---- How weights are read: kWeights of kBytes at a time; body(i, run i of sixteen) in the order of the row ----

struct F16 {
  static constexpr int64_t kWeights = 32, kBytes = 64;
  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    body(0, _mm512_cvtph_ps(load_256(w)));
    body(1, _mm512_cvtph_ps(load_256(w + 32)));
  }
};

struct Bf16 {
  static constexpr int64_t kWeights = 32, kBytes = 64;
  static TRIT_INLINE __m512 floats(const uint8_t* w) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(w)), 16));
  }
  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    body(0, floats(w));
    body(1, floats(w + 32));
  }
};

struct Q8_0 {
  static constexpr int64_t kWeights = 32, kBytes = 34;
  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    const __m512 d = splat_half(w);
    body(0, _mm512_mul_ps(floats_of_i8(load_128(w + 2)), d));
    body(1, _mm512_mul_ps(floats_of_i8(load_128(w + 18)), d));
  }
};

// Values of codes of four bits, by what `value` makes of 0 to 15.
struct CodeTable {
  __m512 values;
  static TRIT_INLINE __m512 codes() {
    return _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  }
  // Of sixteen bytes: the lower halves, the upper halves. A permutation looks at four bits of an index.
  TRIT_INLINE __m512 low(const uint8_t* bytes) const {
    return _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(load_128(bytes)), values);
  }
  TRIT_INLINE __m512 high(const uint8_t* bytes) const {
    return _mm512_permutexvar_ps(_mm512_srli_epi32(_mm512_cvtepu8_epi32(load_128(bytes)), 4),
                                 values);
  }
};

struct Q4_0 {
  static constexpr int64_t kWeights = 32, kBytes = 18;
  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    const __m512 codes = _mm512_sub_ps(CodeTable::codes(), _mm512_set1_ps(8));
    const CodeTable table{_mm512_mul_ps(codes, splat_half(w))};
    body(0, table.low(w + 2));
    body(1, table.high(w + 2));
  }
};

// 256 weights: two scales, six bits for the scale and the minimum of each 32 (ggml_rows.h), then the codes, 64 in 32
// bytes: the first half of them in the lower halves of the bytes.
struct Q4_K {
  static constexpr int64_t kWeights = 256, kBytes = 144;
  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    uint32_t six[3];
    __builtin_memcpy(six, w + 4, sizeof six);
    const __m128i codes = _mm_set_epi32(
        static_cast<int>((six[2] >> 4 & 0x0F0F0F0Fu) | (six[1] >> 6 & 0x03030303u) << 4),
        static_cast<int>(six[1] & 0x3F3F3F3Fu),
        static_cast<int>((six[2] & 0x0F0F0F0Fu) | (six[0] >> 6 & 0x03030303u) << 4),
        static_cast<int>(six[0] & 0x3F3F3F3Fu));
    const __m512 factors = _mm512_mask_blend_ps(0xFF00, splat_half(w), splat_half(w + 2));
    alignas(64) float scales[16];
    _mm512_store_ps(scales, _mm512_mul_ps(factors, floats_of_i8(codes)));
    keep_in_memory(scales);
    for (int run = 0; run < 8; ++run) {
      const CodeTable table{
          _mm512_sub_ps(_mm512_mul_ps(CodeTable::codes(), _mm512_set1_ps(scales[run])),
                        _mm512_set1_ps(scales[8 + run]))};
      const uint8_t* bytes = w + 16 + run / 2 * 32;
      body(2 * run, run % 2 == 0 ? table.low(bytes) : table.high(bytes));
      body(2 * run + 1, run % 2 == 0 ? table.low(bytes + 16) : table.high(bytes + 16));
    }
  }
};

// 256 weights: low four bits, then high two, then a scale for every 16, then the scales' own.
struct Q6_K {
  static constexpr int64_t kWeights = 256, kBytes = 210;

  // 64 weights in the order of the row, from run kRun on. Through memory: widening a part of it as it is loaded takes
  // one instruction, taking the part out of a register another.
  template <int kRun, class Body>
  static TRIT_INLINE void each_of_64(__m512i codes, const float* scales, Body body) {
    alignas(64) int8_t q[64];
    _mm512_store_si512(q, _mm512_sub_epi8(codes, _mm512_set1_epi8(32)));
    keep_in_memory(q);
    for (int i = 0; i < 4; ++i) {
      body(kRun + i,
           _mm512_mul_ps(floats_of_i8(load_128(q + 16 * i)), _mm512_set1_ps(scales[kRun + i])));
    }
  }

  // 128 weights: 64 bytes of low bits hold the first 64 weights in their lower halves and the last 64 in the upper;
  // 32 bytes of high bits hold a run of 32 weights at each of four places.
  template <int kHalf, class Body>
  static TRIT_INLINE void each_of_128(const uint8_t* w, const float* scales, Body body) {
    const __m512i four = _mm512_loadu_si512(w + 64 * kHalf), low = _mm512_set1_epi8(15);
    const __m512i two = _mm512_broadcast_i64x4(load_256(w + 128 + 32 * kHalf));
    const __m512i high = _mm512_set1_epi8(0x30);
    const __m512i up = _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4);    // the first two runs
    const __m512i down = _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0);  // the others
    // Ternary logic 0xEA: (a and b) or c; the shifts' strays between bytes are masked.
    const __m512i first = _mm512_ternarylogic_epi64(_mm512_sllv_epi64(two, up), high,
                                                    _mm512_and_si512(four, low), 0xEA);
    const __m512i second =
        _mm512_ternarylogic_epi64(_mm512_srlv_epi64(two, down), high,
                                  _mm512_and_si512(_mm512_srli_epi16(four, 4), low), 0xEA);
    each_of_64<8 * kHalf>(first, scales, body);
    each_of_64<8 * kHalf + 4>(second, scales, body);
  }

  template <class Body>
  static TRIT_INLINE void each(const uint8_t* w, Body body) {
    alignas(64) float scales[16];
    _mm512_store_ps(scales, _mm512_mul_ps(floats_of_i8(load_128(w + 192)), splat_half(w + 208)));
    keep_in_memory(scales);
    each_of_128<0>(w, scales, body);
    each_of_128<1>(w, scales, body);
  }
};
