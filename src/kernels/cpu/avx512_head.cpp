// Full-precision and block-quantised rows against one token in AVX-512: what an output head takes in decoding. The
// bits are those of the rows in float_rows.h and ggml_rows.h. Four rows share the loads of x; the four after them are
// prefetched.

#include "kernels/cpu/avx512_head.h"

#include "kernels/cpu/target.h"

#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")
namespace trit::kernels {
namespace {

#include "kernels/cpu/avx512_weights.h"

// The tree of sum_lanes in float_rows.h.
TRIT_INLINE float sum_lanes(__m512 v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

constexpr int64_t kMostDecoded = 8192;  // inputs: 128 KiB of floats on the stack

// A multiplication and an addition that stay two.
TRIT_INLINE __m512 add_product(__m512 sum, __m512 w, const float* x) {
  return _mm512_add_ps(sum, _mm512_mul_ps(w, _mm512_loadu_ps(x)));
}

template <class Weights>
TRIT_INLINE __m512 add_step(__m512 sum, const uint8_t* w, const float* x) {
  Weights::each(w, [&](int i, __m512 run) { sum = add_product(sum, run, x + 16 * i); });
  return sum;
}

// Four rows against one token; the four after them are prefetched.
template <class Weights>
TRIT_INLINE void four_rows(const uint8_t* w, int64_t steps, const float* x, float* y) {
  const int64_t stride = steps * Weights::kBytes;
  __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
  for (int64_t i = 0; i < steps; ++i, w += Weights::kBytes, x += Weights::kWeights) {
    for (int64_t line = 0; line < Weights::kBytes; line += 64) {
      for (int row = 4; row < 8; ++row)
        _mm_prefetch(reinterpret_cast<const char*>(w + row * stride + line), _MM_HINT_T1);
    }
    a = add_step<Weights>(a, w, x);
    b = add_step<Weights>(b, w + stride, x);
    c = add_step<Weights>(c, w + 2 * stride, x);
    d = add_step<Weights>(d, w + 3 * stride, x);
  }
  y[0] = sum_lanes(a);
  y[1] = sum_lanes(b);
  y[2] = sum_lanes(c);
  y[3] = sum_lanes(d);
}

// Sums of four rows for one token. Named members, no array: g++ 12 would spill an array.
struct FourSums {
  __m512 a, b, c, d;
  TRIT_INLINE void add(__m512 w0, __m512 w1, __m512 w2, __m512 w3, const float* x) {
    const __m512 xk = _mm512_loadu_ps(x);
    a = _mm512_add_ps(a, _mm512_mul_ps(w0, xk));
    b = _mm512_add_ps(b, _mm512_mul_ps(w1, xk));
    c = _mm512_add_ps(c, _mm512_mul_ps(w2, xk));
    d = _mm512_add_ps(d, _mm512_mul_ps(w3, xk));
  }
  TRIT_INLINE void write(float* y) const {
    y[0] = sum_lanes(a);
    y[1] = sum_lanes(b);
    y[2] = sum_lanes(c);
    y[3] = sum_lanes(d);
  }
};
TRIT_INLINE FourSums no_sums() {
  const __m512 zero = _mm512_setzero_ps();
  return {zero, zero, zero, zero};
}

// Four rows of floats against two tokens.
TRIT_INLINE void two_tokens(const float* w, int64_t K, const float* x, float* y, int64_t y_stride) {
  FourSums s0 = no_sums(), s1 = s0;
  for (int64_t k = 0; k < K; k += 16) {
    const __m512 w0 = _mm512_loadu_ps(w + k), w1 = _mm512_loadu_ps(w + K + k);
    const __m512 w2 = _mm512_loadu_ps(w + 2 * K + k), w3 = _mm512_loadu_ps(w + 3 * K + k);
    s0.add(w0, w1, w2, w3, x + k);
    s1.add(w0, w1, w2, w3, x + K + k);
  }
  s0.write(y);
  s1.write(y + y_stride);
}

// The same of four: half as many loads a product.
TRIT_INLINE void four_tokens(const float* w, int64_t K, const float* x, float* y,
                             int64_t y_stride) {
  FourSums s0 = no_sums(), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t k = 0; k < K; k += 16) {
    const __m512 w0 = _mm512_loadu_ps(w + k), w1 = _mm512_loadu_ps(w + K + k);
    const __m512 w2 = _mm512_loadu_ps(w + 2 * K + k), w3 = _mm512_loadu_ps(w + 3 * K + k);
    s0.add(w0, w1, w2, w3, x + k);
    s1.add(w0, w1, w2, w3, x + K + k);
    s2.add(w0, w1, w2, w3, x + 2 * K + k);
    s3.add(w0, w1, w2, w3, x + 3 * K + k);
  }
  s0.write(y);
  s1.write(y + y_stride);
  s2.write(y + 2 * y_stride);
  s3.write(y + 3 * y_stride);
}

template <class Weights>
void decode_four_rows(const uint8_t* w, int64_t steps, float* out) {
  for (int64_t i = 0; i < 4 * steps; ++i, w += Weights::kBytes, out += Weights::kWeights)
    Weights::each(w, [&](int run, __m512 weights) { _mm512_storeu_ps(out + 16 * run, weights); });
}

template <class Weights>
float one_row(const uint8_t* w, int64_t steps, const float* x) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < steps; ++i, w += Weights::kBytes, x += Weights::kWeights)
    sum = add_step<Weights>(sum, w, x);
  return sum_lanes(sum);
}

// y of four rows at a time, and of one token the last ones too; returns how many rows were done. Several tokens share
// one decoding, in fours and twos: T is even.
template <class Weights>
int64_t rows_of_four(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  const int64_t steps = K / Weights::kWeights, whole = rows / 4 * 4;
  const int64_t row_bytes = steps * Weights::kBytes;
  if (T == 1) {
    for (int64_t r = 0; r < whole; r += 4) four_rows<Weights>(w + r * row_bytes, steps, x, y + r);
    for (int64_t r = whole; r < rows; ++r) y[r] = one_row<Weights>(w + r * row_bytes, steps, x);
    return rows;
  }
  if (K > kMostDecoded) return 0;
  alignas(64) float decoded[4 * kMostDecoded];
  for (int64_t r = 0; r < whole; r += 4) {
    decode_four_rows<Weights>(w + r * row_bytes, steps, decoded);
    int64_t t = 0;
    for (; t + 4 <= T; t += 4) four_tokens(decoded, K, x + t * K, y + t * y_stride + r, y_stride);
    if (t < T) two_tokens(decoded, K, x + t * K, y + t * y_stride + r, y_stride);
  }
  return whole;
}

}  // namespace

int64_t head_rows_f16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                      float* y, int64_t y_stride) {
  return rows_of_four<F16>(reinterpret_cast<const uint8_t*>(w), rows, K, x, T, y, y_stride);
}
int64_t head_rows_bf16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride) {
  return rows_of_four<Bf16>(reinterpret_cast<const uint8_t*>(w), rows, K, x, T, y, y_stride);
}
int64_t head_rows_q8_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride) {
  return rows_of_four<Q8_0>(w, rows, K, x, T, y, y_stride);
}
int64_t head_rows_q4_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride) {
  return rows_of_four<Q4_0>(w, rows, K, x, T, y, y_stride);
}
int64_t head_rows_q6_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride) {
  return rows_of_four<Q6_K>(w, rows, K, x, T, y, y_stride);
}
int64_t head_rows_q4_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                       float* y, int64_t y_stride) {
  return rows_of_four<Q4_K>(w, rows, K, x, T, y, y_stride);
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
