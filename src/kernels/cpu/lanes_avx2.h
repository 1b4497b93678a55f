// lanes_scalar.h in AVX2 with FMA and F16C: two registers for sixteen lanes.

struct Floats {
  __m256 low, high;
};
TRIT_INLINE Floats zero_floats() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
TRIT_INLINE f32x16 lanes(Floats x) {
  float v[16];
  _mm256_storeu_ps(v, x.low);
  _mm256_storeu_ps(v + 8, x.high);
  return load(v);
}
TRIT_INLINE Floats fused(Floats sum, Floats x, float y) {
  const __m256 all = _mm256_set1_ps(y);
  return {_mm256_fmadd_ps(x.low, all, sum.low), _mm256_fmadd_ps(x.high, all, sum.high)};
}
TRIT_INLINE Floats load_half(const std::byte* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
TRIT_INLINE void store_half(uint16_t* p, f32x16 x) {
  float v[16];
  store(v, x);
  for (int i = 0; i < 16; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(v + i), _MM_FROUND_TO_NEAREST_INT));
  }
}

struct Ints {
  __m256i low, high;
};
struct Pairs {
  __m256i low, high;
};
TRIT_INLINE Ints splat_ints(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
TRIT_INLINE f32x16 lanes(Ints x) {
  return lanes(Floats{_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)});
}
TRIT_INLINE Ints add_products(Ints sum, Pairs x, int32_t y) {
  const __m256i all = _mm256_set1_epi32(y);
  return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(x.low, all)),
          _mm256_add_epi32(sum.high, _mm256_madd_epi16(x.high, all))};
}
TRIT_INLINE Pairs load_pairs(const std::byte* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
TRIT_INLINE Pairs load_bytes(const std::byte* p) {
  return {_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
TRIT_INLINE Pairs low_halves(Pairs bytes) {
  const __m256i mask = _mm256_set1_epi16(15);
  return {_mm256_and_si256(bytes.low, mask), _mm256_and_si256(bytes.high, mask)};
}
TRIT_INLINE Pairs high_halves(Pairs bytes) {
  return {_mm256_srli_epi16(bytes.low, 4), _mm256_srli_epi16(bytes.high, 4)};
}
TRIT_INLINE void store_i16(void* p, f32x16 x) {
  float v[16];
  store(v, x);
  const __m256i low = _mm256_cvttps_epi32(_mm256_loadu_ps(v)),
                high = _mm256_cvttps_epi32(_mm256_loadu_ps(v + 8));
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
}
