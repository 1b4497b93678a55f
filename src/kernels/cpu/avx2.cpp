// AVX2: 32 codes a register, products through vpmaddubsw.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx2,fma,f16c")
namespace trit::kernels {
namespace {

#include "kernels/cpu/float_rows.h"
#include "kernels/cpu/ggml_rows.h"
#include "kernels/cpu/kv_rows.h"
#include "kernels/cpu/lanes_avx2.h"
// Behind the lanes.
#include "kernels/cpu/kv_packed.h"

TRIT_INLINE int32_t sum_i32(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
  return _mm_cvtsi128_si32(s);
}

// The 128 products of a run, as 16 sums of 8: each plane adds at most 2 * 2 * 128 in size to a
// 16-bit lane, so four fit.
TRIT_INLINE __m256i run_products(__m256i codes, const int8_t* x) {
  const __m256i mask = _mm256_set1_epi8(3);
  const auto plane = [&](__m256i shifted, int p) {
    const __m256i activations = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * p));
    return _mm256_maddubs_epi16(_mm256_and_si256(shifted, mask), activations);
  };
  const __m256i low = _mm256_add_epi16(plane(codes, 0), plane(_mm256_srli_epi16(codes, 2), 1));
  const __m256i high = _mm256_add_epi16(plane(_mm256_srli_epi16(codes, 4), 2),
                                        plane(_mm256_srli_epi16(codes, 6), 3));
  return _mm256_add_epi16(low, high);
}

void ternary_gemm_i8(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                     const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = w + r * row_bytes;
    for (int64_t t = 0; t < T; ++t) {
      const int8_t* xt = x + t * 4 * row_bytes;
      __m256i sum = _mm256_setzero_si256();
      for (int64_t b = 0; b < row_bytes; b += 32) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + b));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(run_products(codes, xt + 4 * b), ones));
      }
      y[t * y_stride + r] = sum_i32(sum) - x_sum[t];
    }
  }
}

}  // namespace

Table avx2_table() {
  Table table = float_rows();
  add_kv_rows(table);
  add_ggml_rows(table);
  table.ternary_gemm_i8 = ternary_gemm_i8;
  set_tile_rows(Isa::kAvx2, table);
  return table;
}

}  // namespace trit::kernels
TRIT_TARGET_END

#else
namespace trit::kernels {
Table avx2_table() { return scalar_table(); }
}  // namespace trit::kernels
#endif
