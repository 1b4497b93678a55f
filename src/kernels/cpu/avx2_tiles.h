// Ternary tiles on 256-bit registers, included by one file per instruction set, which says in TRIT_NAME how its
// functions are called and, by TRIT_DPBUSD, whether there is vpdpbusd (AVX-VNNI) or only vpmaddubsw.
//
// Two bits: a register is half a block, 8 rows in lanes of 32 bits. Its four planes are unpacked once and meet
// up to four rows of activations, four of them broadcast at a time. Without vpdpbusd pairs of products are summed
// in 16 bits, which hold fifteen blocks of them: |sum| <= 15 x 4 x 2 x 2 x 128 = 30720.
// Base 3: 16 rows in lanes of 16 bits; the digits of a byte come out by multiplication with 171 / 512, which is
// a third for all bytes. 25 blocks: 25 x 5 x 128 = 16000.

namespace trit::kernels {
namespace {

#define TRIT_INLINE inline __attribute__((always_inline))

TRIT_INLINE __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

TRIT_INLINE __m256i broadcast_four(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

struct Planes {
  __m256i p0, p1, p2, p3;
};

TRIT_INLINE Planes planes_of(__m256i codes) {
  const __m256i mask = _mm256_set1_epi8(3);
  return {_mm256_and_si256(codes, mask), _mm256_and_si256(_mm256_srli_epi16(codes, 2), mask),
          _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask),
          _mm256_and_si256(_mm256_srli_epi16(codes, 6), mask)};
}

#if defined(TRIT_DPBUSD)
constexpr int64_t kBlocksOfASum = int64_t{1} << 40;  // 32 bits hold any row
// Two sums a column: vpdpbusd takes five cycles, of which one column alone would wait for most.
struct Sum {
  __m256i even, odd;
};
TRIT_INLINE Sum nothing() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
TRIT_INLINE void add_block(Sum& s, const Planes& w, const int8_t* x) {
  s.even = _mm256_dpbusd_avx_epi32(s.even, w.p0, broadcast_four(x));
  s.odd = _mm256_dpbusd_avx_epi32(s.odd, w.p1, broadcast_four(x + 4));
  s.even = _mm256_dpbusd_avx_epi32(s.even, w.p2, broadcast_four(x + 8));
  s.odd = _mm256_dpbusd_avx_epi32(s.odd, w.p3, broadcast_four(x + 12));
}
TRIT_INLINE __m256i total(const Sum& s) { return _mm256_add_epi32(s.even, s.odd); }
#else
constexpr int64_t kBlocksOfASum = 15;
struct Sum {
  __m256i pairs;
};
TRIT_INLINE Sum nothing() { return {_mm256_setzero_si256()}; }
TRIT_INLINE void add_block(Sum& s, const Planes& w, const int8_t* x) {
  const __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(w.p0, broadcast_four(x)),
                                       _mm256_maddubs_epi16(w.p1, broadcast_four(x + 4)));
  const __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(w.p2, broadcast_four(x + 8)),
                                        _mm256_maddubs_epi16(w.p3, broadcast_four(x + 12)));
  s.pairs = _mm256_add_epi16(s.pairs, _mm256_add_epi16(low, high));
}
TRIT_INLINE __m256i total(const Sum& s) { return _mm256_madd_epi16(s.pairs, _mm256_set1_epi16(1)); }
#endif

// Where a row of activations is read and its sums of 8 rows go.
struct Column {
  const int8_t* x;
  int32_t* y;
};

TRIT_INLINE void add_to(int32_t* y, const Sum& sum) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm256_add_epi32(load_256(y), total(sum)));
}

// Blocks [0, blocks) of half a tile with four columns.
TRIT_INLINE void four_columns(const uint8_t* w, int64_t blocks, const Column* c) {
  Sum a = nothing(), b = a, d = a, e = a;
  for (int64_t i = 0; i < blocks; ++i) {
    const Planes codes = planes_of(load_256(w + 64 * i));
    add_block(a, codes, c[0].x + 16 * i);
    add_block(b, codes, c[1].x + 16 * i);
    add_block(d, codes, c[2].x + 16 * i);
    add_block(e, codes, c[3].x + 16 * i);
  }
  add_to(c[0].y, a);
  add_to(c[1].y, b);
  add_to(c[2].y, d);
  add_to(c[3].y, e);
}

// The same, a whole tile with one.
TRIT_INLINE void one_column(const uint8_t* w, int64_t blocks, const int8_t* x, int32_t* y) {
  Sum a = nothing(), b = a;
  for (int64_t i = 0; i < blocks; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(w + 64 * i + 2048), _MM_HINT_T0);
    add_block(a, planes_of(load_256(w + 64 * i)), x + 16 * i);
    add_block(b, planes_of(load_256(w + 64 * i + 32)), x + 16 * i);
  }
  add_to(y, a);
  add_to(y + 8, b);
}

}  // namespace

void TRIT_NAME(two_bit_gemm)(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                             int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                             int64_t y_stride) {
  for (int64_t tile = 0; tile < tiles; ++tile, w += 64 * blocks, y += 16) {
    for (int64_t t = 0; t < T; ++t) {
      const __m256i less = _mm256_set1_epi32(-x_sum[t]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + t * y_stride), less);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + t * y_stride + 8), less);
    }
    for (int64_t begin = 0; begin < blocks; begin += kBlocksOfASum) {
      const int64_t count = blocks - begin < kBlocksOfASum ? blocks - begin : kBlocksOfASum;
      const uint8_t* from = w + 64 * begin;
      int64_t t = 0;
      for (; t + 4 <= T; t += 4) {
        for (int half = 0; half < 2; ++half) {
          Column columns[4];
          for (int i = 0; i < 4; ++i)
            columns[i] = {x + (t + i) * x_stride + 16 * begin, y + (t + i) * y_stride + 8 * half};
          four_columns(from + 32 * half, count, columns);
        }
      }
      for (; t < T; ++t) one_column(from, count, x + t * x_stride + 16 * begin, y + t * y_stride);
    }
  }
}

namespace {

using U16 = uint16_t __attribute__((vector_size(32)));

// The sums of 16 rows over up to 25 blocks. Digit by digit, the least first.
TRIT_INLINE U16 base3_sums(const uint8_t* w, int64_t blocks, const int8_t* x) {
  U16 sum{};
  for (int64_t i = 0; i < blocks; ++i, x += 5) {
    const auto bytes = reinterpret_cast<U16>(
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 64 * i))));
    const U16 negative = U16{} - (bytes >> 7), magnitude = bytes & 127;
    U16 rest = ((magnitude ^ negative) - negative) + 121;  // the sum of (level + 1) 3^i
    for (int digit = 0; digit < 5; ++digit) {
      const U16 third = rest * 171 >> 9;
      sum += (rest - third * 3 - 1) * static_cast<uint16_t>(x[digit]);
      rest = third;
    }
  }
  return sum;
}

}  // namespace

void TRIT_NAME(base3_gemm)(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                           int64_t x_stride, const int32_t*, const uint8_t*, int64_t T, int32_t* y,
                           int64_t y_stride) {
  constexpr int64_t kBlocks = 25;
  for (int64_t tile = 0; tile < tiles; ++tile, w += 64 * blocks + 128, y += 64) {
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t row = 0; row < 64; row += 16) {
        int32_t* out = y + t * y_stride + row;
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int64_t begin = 0; begin < blocks; begin += kBlocks) {
          const int64_t count = blocks - begin < kBlocks ? blocks - begin : kBlocks;
          const auto sums = reinterpret_cast<__m256i>(
              base3_sums(w + 64 * begin + row, count, x + t * x_stride + 5 * begin));
          low = _mm256_add_epi32(low, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums)));
          high = _mm256_add_epi32(high, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sums, 1)));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), low);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8), high);
      }
    }
  }
}

}  // namespace trit::kernels
