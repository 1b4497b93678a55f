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

// Four rows of floats against two tokens.
TRIT_INLINE void four_decoded_rows(const float* w, int64_t K, const float* x, float* y0,
                                   float* y1) {
  __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (int64_t k = 0; k < K; k += 16) {
    const __m512 w0 = _mm512_loadu_ps(w + k), w1 = _mm512_loadu_ps(w + K + k);
    const __m512 w2 = _mm512_loadu_ps(w + 2 * K + k), w3 = _mm512_loadu_ps(w + 3 * K + k);
    const float *x0 = x + k, *x1 = x + K + k;
    a = add_product(a, w0, x0);
    b = add_product(b, w1, x0);
    c = add_product(c, w2, x0);
    d = add_product(d, w3, x0);
    e = add_product(e, w0, x1);
    f = add_product(f, w1, x1);
    g = add_product(g, w2, x1);
    h = add_product(h, w3, x1);
  }
  y0[0] = sum_lanes(a);
  y0[1] = sum_lanes(b);
  y0[2] = sum_lanes(c);
  y0[3] = sum_lanes(d);
  y1[0] = sum_lanes(e);
  y1[1] = sum_lanes(f);
  y1[2] = sum_lanes(g);
  y1[3] = sum_lanes(h);
}

template <class Weights>
void decode_four_rows(const uint8_t* w, int64_t steps, float* out) {
  for (int64_t i = 0; i < 4 * steps; ++i, w += Weights::kBytes, out += Weights::kWeights)
    Weights::each(w, [&](int run, __m512 weights) { _mm512_storeu_ps(out + 16 * run, weights); });
}

// y of four rows at a time; returns how many rows were done. Several tokens share one decoding, two by two: T is even.
template <class Weights>
int64_t rows_of_four(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  const int64_t steps = K / Weights::kWeights, whole = rows / 4 * 4;
  if (T > 1 && K > kMostDecoded) return 0;
  alignas(64) float decoded[4 * kMostDecoded];
  for (int64_t r = 0; r < whole; r += 4, w += 4 * steps * Weights::kBytes) {
    if (T == 1) {
      four_rows<Weights>(w, steps, x, y + r);
      continue;
    }
    decode_four_rows<Weights>(w, steps, decoded);
    for (int64_t t = 0; t < T; t += 2) {
      four_decoded_rows(decoded, K, x + t * K, y + t * y_stride + r, y + (t + 1) * y_stride + r);
    }
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
