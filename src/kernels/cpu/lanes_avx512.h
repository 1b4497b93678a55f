// lanes_scalar.h in AVX-512 with VNNI.

// Structs: bare vectors would be one type for all integers, and no arguments of templates.
struct Floats {
  __m512 v;
};
TRIT_INLINE Floats zero_floats() { return {_mm512_setzero_ps()}; }
TRIT_INLINE f32x16 lanes(Floats x) { return reinterpret_cast<f32x16>(x.v); }
TRIT_INLINE Floats fused(Floats sum, Floats x, float y) {
  return {_mm512_fmadd_ps(x.v, _mm512_set1_ps(y), sum.v)};
}
TRIT_INLINE Floats load_half(const std::byte* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
TRIT_INLINE void store_half(uint16_t* p, f32x16 x) {
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(p),
      _mm512_cvtps_ph(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

struct Ints {
  __m512i v;
};
struct Pairs {
  __m512i v;
};
TRIT_INLINE Ints splat_ints(int32_t x) { return {_mm512_set1_epi32(x)}; }
TRIT_INLINE f32x16 lanes(Ints x) { return reinterpret_cast<f32x16>(_mm512_cvtepi32_ps(x.v)); }
TRIT_INLINE Ints add_products(Ints sum, Pairs x, int32_t y) {
  return {_mm512_dpwssd_epi32(sum.v, x.v, _mm512_set1_epi32(y))};
}
TRIT_INLINE Pairs load_pairs(const std::byte* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
TRIT_INLINE Pairs load_bytes(const std::byte* p) {
  return {_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
TRIT_INLINE Pairs low_halves(Pairs bytes) {
  return {_mm512_and_si512(bytes.v, _mm512_set1_epi16(15))};
}
TRIT_INLINE Pairs high_halves(Pairs bytes) { return {_mm512_srli_epi16(bytes.v, 4)}; }
TRIT_INLINE void store_i16(void* p, f32x16 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(_mm512_cvttps_epi32(reinterpret_cast<__m512>(x))));
}
