// AVX-512 with VNNI, products through vpdpbusd. Two roads to the same integers:
//
// Few tokens: 64 bytes of codes (two runs) a register. The four planes are masked where they stand,
// without a shift: plane p then counts 4^p fold, sums in an accumulator of its own, and is divided by
// 4^p once at the end, exactly.
//
// Many tokens: a tile of 32 rows is unpacked once to a byte per code, four inputs of 16 rows side by
// side in a register, and multiplied with 8 tokens at a time, each a broadcast of four activations.
// The lanes are rows, so nothing is summed across.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/cpu/avx512_head.h"
#include "kernels/cpu/screen_rows.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace trit::kernels {
namespace {

#include "kernels/cpu/float_rows.h"
#include "kernels/cpu/ggml_rows.h"
#include "kernels/cpu/kv_rows.h"
#include "kernels/cpu/lanes_avx512.h"
// Behind the lanes.
#include "kernels/cpu/kv_packed.h"

TRIT_INLINE __m512i load_512(const void* p) { return _mm512_loadu_si512(p); }

// Plane p of two neighbouring runs: 32 activations of each.
TRIT_INLINE __m512i plane_of_two_runs(const int8_t* x, int p) {
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * p));
  const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 128 + 32 * p));
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}
// The same of one run, with zeros where the second would be.
TRIT_INLINE __m512i plane_of_one_run(const int8_t* x, int p) {
  return _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * p)));
}

// Sums of one row over the planes. Named members, no array: g++ 12 would spill an array.
struct PlaneSums {
  __m512i p0, p1, p2, p3;
};

TRIT_INLINE void accumulate(PlaneSums& s, __m512i codes, __m512i x0, __m512i x1, __m512i x2,
                            __m512i x3) {
  s.p0 = _mm512_dpbusd_epi32(s.p0, _mm512_and_si512(codes, _mm512_set1_epi8(0x03)), x0);
  s.p1 = _mm512_dpbusd_epi32(s.p1, _mm512_and_si512(codes, _mm512_set1_epi8(0x0C)), x1);
  s.p2 = _mm512_dpbusd_epi32(s.p2, _mm512_and_si512(codes, _mm512_set1_epi8(0x30)), x2);
  s.p3 = _mm512_dpbusd_epi32(
      s.p3, _mm512_and_si512(codes, _mm512_set1_epi8(static_cast<char>(0xC0))), x3);
}

TRIT_INLINE int32_t total(const PlaneSums& s) {
  const __m512i low = _mm512_add_epi32(s.p0, _mm512_srai_epi32(s.p1, 2));
  const __m512i high = _mm512_add_epi32(_mm512_srai_epi32(s.p2, 4), _mm512_srai_epi32(s.p3, 6));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
}

TRIT_INLINE PlaneSums zero_sums() {
  const __m512i zero = _mm512_setzero_si512();
  return {zero, zero, zero, zero};
}

void four_rows(const uint8_t* w, int64_t row_bytes, const int8_t* x, int32_t x_sum, int32_t* y) {
  PlaneSums a = zero_sums(), b = zero_sums(), c = zero_sums(), d = zero_sums();
  int64_t i = 0;
  for (; i + 64 <= row_bytes; i += 64) {
    const int8_t* xi = x + 4 * i;
    const __m512i x0 = plane_of_two_runs(xi, 0), x1 = plane_of_two_runs(xi, 1);
    const __m512i x2 = plane_of_two_runs(xi, 2), x3 = plane_of_two_runs(xi, 3);
    accumulate(a, load_512(w + i), x0, x1, x2, x3);
    accumulate(b, load_512(w + row_bytes + i), x0, x1, x2, x3);
    accumulate(c, load_512(w + 2 * row_bytes + i), x0, x1, x2, x3);
    accumulate(d, load_512(w + 3 * row_bytes + i), x0, x1, x2, x3);
  }
  if (i < row_bytes) {
    const int8_t* xi = x + 4 * i;
    const __m512i x0 = plane_of_one_run(xi, 0), x1 = plane_of_one_run(xi, 1);
    const __m512i x2 = plane_of_one_run(xi, 2), x3 = plane_of_one_run(xi, 3);
    const __mmask8 half = 0x0F;
    accumulate(a, _mm512_maskz_loadu_epi64(half, w + i), x0, x1, x2, x3);
    accumulate(b, _mm512_maskz_loadu_epi64(half, w + row_bytes + i), x0, x1, x2, x3);
    accumulate(c, _mm512_maskz_loadu_epi64(half, w + 2 * row_bytes + i), x0, x1, x2, x3);
    accumulate(d, _mm512_maskz_loadu_epi64(half, w + 3 * row_bytes + i), x0, x1, x2, x3);
  }
  y[0] = total(a) - x_sum;
  y[1] = total(b) - x_sum;
  y[2] = total(c) - x_sum;
  y[3] = total(d) - x_sum;
}

int32_t one_row(const uint8_t* w, int64_t row_bytes, const int8_t* x, int32_t x_sum) {
  PlaneSums a = zero_sums();
  int64_t i = 0;
  for (; i + 64 <= row_bytes; i += 64) {
    const int8_t* xi = x + 4 * i;
    accumulate(a, load_512(w + i), plane_of_two_runs(xi, 0), plane_of_two_runs(xi, 1),
               plane_of_two_runs(xi, 2), plane_of_two_runs(xi, 3));
  }
  if (i < row_bytes) {
    const int8_t* xi = x + 4 * i;
    accumulate(a, _mm512_maskz_loadu_epi64(0x0F, w + i), plane_of_one_run(xi, 0),
               plane_of_one_run(xi, 1), plane_of_one_run(xi, 2), plane_of_one_run(xi, 3));
  }
  return total(a) - x_sum;
}

void few_tokens(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    for (int64_t t = 0; t < T; ++t) {
      four_rows(w + r * row_bytes, row_bytes, x + t * 4 * row_bytes, x_sum[t],
                y + t * y_stride + r);
    }
  }
  for (; r < rows; ++r) {
    for (int64_t t = 0; t < T; ++t) {
      y[t * y_stride + r] = one_row(w + r * row_bytes, row_bytes, x + t * 4 * row_bytes, x_sum[t]);
    }
  }
}

constexpr int64_t kTokens = 8;         // of one pass over a tile
constexpr int64_t kTileRuns = 8;       // 128 inputs each: a tile is 32 rows of 1024 inputs, 32 KiB
constexpr int64_t kGroupsPerRun = 32;  // groups of four inputs

__mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFF : count <= 0 ? 0 : (1 << count) - 1);
}

// Codes of up to 32 rows and `runs` runs -> tile [group][2][16 rows][4 inputs]; missing rows are zero.
// A gather takes the same four bytes of 16 rows; each of their planes is a group.
void unpack_tile(const uint8_t* w, int64_t rows, int64_t row_bytes, int64_t runs, uint8_t* tile) {
  const __m512i offsets =
      _mm512_mullo_epi32(_mm512_set1_epi32(static_cast<int>(row_bytes)),
                         _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  const __m512i mask = _mm512_set1_epi8(3);
  for (int half = 0; half < 2; ++half) {
    const __mmask16 lanes = first_lanes(rows - 16 * half);
    const uint8_t* base = w + 16 * half * row_bytes;
    for (int64_t quad = 0; quad < 8 * runs; ++quad) {
      const __m512i codes =
          _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), lanes, offsets, base + 4 * quad, 1);
      uint8_t* out = tile + (quad / 8 * kGroupsPerRun + quad % 8) * 128 + 64 * half;
      _mm512_storeu_si512(out, _mm512_and_si512(codes, mask));
      _mm512_storeu_si512(out + 8 * 128, _mm512_and_si512(_mm512_srli_epi32(codes, 2), mask));
      _mm512_storeu_si512(out + 16 * 128, _mm512_and_si512(_mm512_srli_epi32(codes, 4), mask));
      _mm512_storeu_si512(out + 24 * 128, _mm512_and_si512(_mm512_srli_epi32(codes, 6), mask));
    }
  }
}

// Sums of 32 rows for one token.
struct RowSums {
  __m512i low, high;
};

TRIT_INLINE void accumulate(RowSums& s, __m512i low, __m512i high, const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  const __m512i activations = _mm512_set1_epi32(four);
  s.low = _mm512_dpbusd_epi32(s.low, low, activations);
  s.high = _mm512_dpbusd_epi32(s.high, high, activations);
}

// Where a tile's sums go: the first tile along the inputs takes out the codes' + 1, later ones add.
struct TileOutput {
  int32_t* y;
  int64_t y_stride, rows;
  const int32_t* x_sum;
  bool first;
};

TRIT_INLINE void write_sums(const TileOutput& out, int64_t t, const RowSums& s) {
  int32_t* y = out.y + t * out.y_stride;
  const __mmask16 low = first_lanes(out.rows), high = first_lanes(out.rows - 16);
  const __m512i less = _mm512_set1_epi32(-out.x_sum[t]);
  const __m512i before_low = out.first ? less : _mm512_maskz_loadu_epi32(low, y);
  const __m512i before_high = out.first ? less : _mm512_maskz_loadu_epi32(high, y + 16);
  _mm512_mask_storeu_epi32(y, low, _mm512_add_epi32(s.low, before_low));
  _mm512_mask_storeu_epi32(y + 16, high, _mm512_add_epi32(s.high, before_high));
}

void eight_tokens(const uint8_t* tile, int64_t groups, const int8_t* x, int64_t x_stride, int64_t t,
                  const TileOutput& out) {
  const __m512i zero = _mm512_setzero_si512();
  RowSums a{zero, zero}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const int8_t* xt = x + t * x_stride;
  for (int64_t group = 0; group < groups; ++group, xt += 4) {
    const __m512i low = load_512(tile + group * 128), high = load_512(tile + group * 128 + 64);
    accumulate(a, low, high, xt);
    accumulate(b, low, high, xt + x_stride);
    accumulate(c, low, high, xt + 2 * x_stride);
    accumulate(d, low, high, xt + 3 * x_stride);
    accumulate(e, low, high, xt + 4 * x_stride);
    accumulate(f, low, high, xt + 5 * x_stride);
    accumulate(g, low, high, xt + 6 * x_stride);
    accumulate(h, low, high, xt + 7 * x_stride);
  }
  write_sums(out, t, a);
  write_sums(out, t + 1, b);
  write_sums(out, t + 2, c);
  write_sums(out, t + 3, d);
  write_sums(out, t + 4, e);
  write_sums(out, t + 5, f);
  write_sums(out, t + 6, g);
  write_sums(out, t + 7, h);
}

void many_tokens(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                 const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  alignas(64) uint8_t tile[kTileRuns * kGroupsPerRun * 128];
  const int64_t runs = row_bytes / 32;
  for (int64_t r = 0; r < rows; r += 32) {
    const int64_t rows_here = rows - r < 32 ? rows - r : 32;
    for (int64_t run = 0; run < runs; run += kTileRuns) {
      const int64_t runs_here = runs - run < kTileRuns ? runs - run : kTileRuns;
      unpack_tile(w + r * row_bytes + run * 32, rows_here, row_bytes, runs_here, tile);
      const TileOutput out{y + r, y_stride, rows_here, x_sum, run == 0};
      for (int64_t t = 0; t < T; t += kTokens) {
        eight_tokens(tile, runs_here * kGroupsPerRun, x + run * 128, 4 * row_bytes, t, out);
      }
    }
  }
}

void ternary_gemm_i8(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                     const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  const int64_t together = T / kTokens * kTokens;
  if (together > 0) many_tokens(w, rows, row_bytes, x, x_sum, together, y, y_stride);
  if (together == T) return;
  few_tokens(w, rows, row_bytes, x + together * 4 * row_bytes, x_sum + together, T - together,
             y + together * y_stride, y_stride);
}

// Through the rows of avx512_head.cpp, as far as they go; the rest as everywhere. A step of kWeights inputs takes
// kElements elements of W.
template <auto kFour, auto kAny, int64_t kWeights, int64_t kElements, class W>
void head_rows(const W* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
               int64_t y_stride) {
  const int64_t done = K % kWeights == 0 ? kFour(w, rows, K, x, T, y, y_stride) : 0;
  if (done < rows)
    kAny(w + done * (K / kWeights * kElements), rows - done, K, x, T, y + done, y_stride);
}

// An odd last token goes alone.
template <auto kFour, auto kAny, int64_t kWeights, int64_t kElements, class W>
void head_product(const W* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                  int64_t y_stride) {
  constexpr auto kRows = head_rows<kFour, kAny, kWeights, kElements, W>;
  const int64_t even = T / 2 * 2;
  if (even > 0) kRows(w, rows, K, x, even, y, y_stride);
  if (even < T) kRows(w, rows, K, x + even * K, 1, y + even * y_stride, y_stride);
}

}  // namespace

Table avx512vnni_table() {
  Table table = float_rows();
  add_kv_rows(table);
  add_ggml_rows(table);
  table.dense_gemm_f16 = head_product<head_rows_f16, dense_gemm_f16, 32, 32, uint16_t>;
  table.dense_gemm_bf16 = head_product<head_rows_bf16, dense_gemm_bf16, 32, 32, uint16_t>;
  table.dense_gemm_q8_0 = head_product<head_rows_q8_0, dense_gemm_q8_0, 32, 34, uint8_t>;
  table.dense_gemm_q4_0 = head_product<head_rows_q4_0, dense_gemm_q4_0, 32, 18, uint8_t>;
  table.dense_gemm_q6_k = head_product<head_rows_q6_k, dense_gemm_q6_k, 256, 210, uint8_t>;
  table.dense_gemm_q4_k = head_product<head_rows_q4_k, dense_gemm_q4_k, 256, 144, uint8_t>;
  table.screen_q8_0 = screen_q8_0_avx512;
  table.screen_q6_k = screen_q6_k_avx512;
  table.ternary_gemm_i8 = ternary_gemm_i8;
  set_tile_rows(Isa::kAvx512Vnni, table);
  return table;
}

}  // namespace trit::kernels
TRIT_TARGET_END

#else
namespace trit::kernels {
Table avx512vnni_table() { return scalar_table(); }
}  // namespace trit::kernels
#endif
