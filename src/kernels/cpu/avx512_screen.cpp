// Rows that screen a head, in AVX-512 with VNNI: the codes as they are stored meet two planes of int8. Four streams
// at once, a quarter of the rows apart, each prefetched: memory gives a core 17 GB/s so and 10 to 15 in one stream.

#include "kernels/cpu/screen_rows.h"
#include "kernels/cpu/target.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace trit::kernels {
namespace {

constexpr int64_t kAhead = 1024;  // bytes that are prefetched

// The tree of sum_lanes in float_rows.h.
TRIT_INLINE float sum_lanes(__m512 v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

TRIT_INLINE __m128i load_128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
TRIT_INLINE __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
// AVX-512's own form, which needs no F16C.
TRIT_INLINE __m128 floats_of_halves(__m128i h) { return _mm_maskz_cvtph_ps(0x0F, h); }
TRIT_INLINE __m512 splat_half(const void* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_broadcastss_ps(floats_of_halves(_mm_cvtsi32_si128(bits)));
}

// 256 high + low is exact but for the sum, so one rounding is all there is.
TRIT_INLINE __m512 joined(__m512i high, __m512i low) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(low));
}

struct Planes {
  __m512i high, low;
};

// Adds 64 codes, whose scales are words: products of pairs fit 16 bits.
TRIT_INLINE void add_codes(Planes& sums, __m512i codes, __m512i scales, const int8_t* high,
                           const int8_t* low) {
  const __m512i h = _mm512_maddubs_epi16(codes, _mm512_loadu_si512(high));
  const __m512i l = _mm512_maddubs_epi16(codes, _mm512_loadu_si512(low));
  sums.high = _mm512_dpwssd_epi32(sums.high, h, scales);
  sums.low = _mm512_dpwssd_epi32(sums.low, l, scales);
}

// The word of the scale of run 4 (j mod 2) + l, in lane l of 128 bits.
TRIT_INLINE __m512i words_of_runs(int j) {
  const int base = 8 * j;
  const auto word = [](int byte) { return 0x01010101 * byte + 0x01000100; };
  return _mm512_set_epi32(word(base + 6), word(base + 6), word(base + 6), word(base + 6),
                          word(base + 4), word(base + 4), word(base + 4), word(base + 4),
                          word(base + 2), word(base + 2), word(base + 2), word(base + 2),
                          word(base), word(base), word(base), word(base));
}

// 128 weights: see avx512_head.cpp for how their bits lie.
template <int kHalf>
TRIT_INLINE void add_half_block(Planes& sums, const uint8_t* w, __m512i scales, const int8_t* high,
                                const int8_t* low) {
  const __m512i four = _mm512_loadu_si512(w + 64 * kHalf), nibble = _mm512_set1_epi8(15);
  const __m512i two = _mm512_broadcast_i64x4(load_256(w + 128 + 32 * kHalf));
  const __m512i mask = _mm512_set1_epi8(0x30);
  const __m512i up = _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4);
  const __m512i down = _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0);
  const __m512i first = _mm512_ternarylogic_epi64(_mm512_sllv_epi64(two, up), mask,
                                                  _mm512_and_si512(four, nibble), 0xEA);
  const __m512i second =
      _mm512_ternarylogic_epi64(_mm512_srlv_epi64(two, down), mask,
                                _mm512_and_si512(_mm512_srli_epi16(four, 4), nibble), 0xEA);
  add_codes(sums, first, _mm512_shuffle_epi8(scales, words_of_runs(0)), high + 128 * kHalf,
            low + 128 * kHalf);
  add_codes(sums, second, _mm512_shuffle_epi8(scales, words_of_runs(1)), high + 128 * kHalf + 64,
            low + 128 * kHalf + 64);
}

// ---- Steps of the layouts: the products of kWeights in kBytes with step b of the input, by lanes ----

struct Q6_K {
  static constexpr int64_t kWeights = 256, kBytes = 210;
  static TRIT_INLINE __m512 products(const uint8_t* w, const ScreenInput& x, int64_t b) {
    alignas(32) int16_t scales[16];
    _mm256_store_si256(reinterpret_cast<__m256i*>(scales), _mm256_cvtepi8_epi16(load_128(w + 192)));
    asm("" : "+m"(scales));  // loads take its parts apart for nothing, shuffles would not
    const __m512i all = _mm512_broadcast_i64x4(load_256(scales)), zero = _mm512_setzero_si512();
    Planes sums{_mm512_dpwssd_epi32(zero, all, _mm512_loadu_si512(x.high_runs + 32 * b)),
                _mm512_dpwssd_epi32(zero, all, _mm512_loadu_si512(x.low_runs + 32 * b))};
    add_half_block<0>(sums, w, _mm512_broadcast_i32x4(load_128(scales)), x.high + 256 * b,
                      x.low + 256 * b);
    add_half_block<1>(sums, w, _mm512_broadcast_i32x4(load_128(scales + 8)), x.high + 256 * b,
                      x.low + 256 * b);
    return _mm512_mul_ps(joined(sums.high, sums.low), splat_half(w + 208));
  }
};

// Two blocks: q + 128 is what stands there with its highest bit turned.
struct Q8_0 {
  static constexpr int64_t kWeights = 64, kBytes = 68;
  static TRIT_INLINE __m512 products(const uint8_t* w, const ScreenInput& x, int64_t b) {
    const __m512i q =
        _mm512_inserti64x4(_mm512_castsi256_si512(load_256(w + 2)), load_256(w + 36), 1);
    const __m512i codes = _mm512_xor_si512(q, _mm512_set1_epi8(-128));
    const __m512i high = _mm512_dpbusd_epi32(_mm512_loadu_si512(x.high_fours + 16 * b), codes,
                                             _mm512_loadu_si512(x.high + 64 * b));
    const __m512i low = _mm512_dpbusd_epi32(_mm512_loadu_si512(x.low_fours + 16 * b), codes,
                                            _mm512_loadu_si512(x.low + 64 * b));
    const __m128 d = floats_of_halves(_mm_unpacklo_epi16(load_128(w), load_128(w + 34)));
    const __m512i lanes = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_mul_ps(joined(high, low),
                         _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(d)));
  }
};

template <class Layout>
TRIT_INLINE void add_step(__m512& sum, const uint8_t* w, const ScreenInput& x, int64_t b) {
  for (int64_t line = 0; line < Layout::kBytes - 4; line += 64)
    _mm_prefetch(reinterpret_cast<const char*>(w + kAhead + line), _MM_HINT_T0);
  sum = _mm512_add_ps(sum, Layout::products(w, x, b));
}

template <class Layout>
TRIT_INLINE void screen(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y) {
  const int64_t steps = K / Layout::kWeights, row_bytes = steps * Layout::kBytes;
  const int64_t quarter = rows / 4, stride = quarter * row_bytes;
  for (int64_t r = 0; r < quarter; ++r) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t b = 0; b < steps; ++b, w += Layout::kBytes) {
      add_step<Layout>(s0, w, x, b);
      add_step<Layout>(s1, w + stride, x, b);
      add_step<Layout>(s2, w + 2 * stride, x, b);
      add_step<Layout>(s3, w + 3 * stride, x, b);
    }
    y[r] = sum_lanes(s0);
    y[r + quarter] = sum_lanes(s1);
    y[r + 2 * quarter] = sum_lanes(s2);
    y[r + 3 * quarter] = sum_lanes(s3);
  }
  w += 3 * stride;
  for (int64_t r = 4 * quarter; r < rows; ++r) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t b = 0; b < steps; ++b, w += Layout::kBytes) add_step<Layout>(sum, w, x, b);
    y[r] = sum_lanes(sum);
  }
}

}  // namespace

void screen_q6_k_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y) {
  screen<Q6_K>(w, rows, K, x, y);
}
void screen_q8_0_avx512(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y) {
  screen<Q8_0>(w, rows, K, x, y);
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
