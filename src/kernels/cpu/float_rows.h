// Float kernels over vectors of 16 lanes. Each file of an instruction set includes this once, inside
// its own anonymous namespace and target region, so each gets its own machine code of the same
// arithmetic: only + - * / sqrt and comparisons, which IEEE 754 rounds alike everywhere.
// No include guard and no includes, on purpose: the including file has them outside its target region.

using f32x16 = float __attribute__((vector_size(64)));
using f32x8 = float __attribute__((vector_size(32)));
using f64x8 = double __attribute__((vector_size(64)));
using i32x16 = int32_t __attribute__((vector_size(64)));
using u32x16 = uint32_t __attribute__((vector_size(64)));
using u16x16 = uint16_t __attribute__((vector_size(32)));

TRIT_INLINE f32x16 splat(float x) { return f32x16{} + x; }
TRIT_INLINE f32x16 load(const float* p) {
  f32x16 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TRIT_INLINE void store(float* p, f32x16 v) { __builtin_memcpy(p, &v, sizeof v); }
// The first `count` < 16 lanes; the others read as `fill`, and are not written.
TRIT_INLINE f32x16 load_part(const float* p, int64_t count, float fill) {
  f32x16 v = splat(fill);
  __builtin_memcpy(&v, p, static_cast<size_t>(count) * sizeof(float));
  return v;
}
TRIT_INLINE void store_part(float* p, f32x16 v, int64_t count) {
  __builtin_memcpy(p, &v, static_cast<size_t>(count) * sizeof(float));
}

// Lanes added as a tree: 16 -> 8 -> 4 -> 2 -> 1, lower half plus upper half.
TRIT_INLINE float sum_lanes(f32x16 v) {
  using f32x8 = float __attribute__((vector_size(32)));
  using f32x4 = float __attribute__((vector_size(16)));
  f32x8 half[2];
  __builtin_memcpy(half, &v, sizeof v);
  const f32x8 eight = half[0] + half[1];
  f32x4 quarter[2];
  __builtin_memcpy(quarter, &eight, sizeof eight);
  const f32x4 four = quarter[0] + quarter[1];
  return (four[0] + four[2]) + (four[1] + four[3]);
}
TRIT_INLINE float max_lanes(f32x16 v) {
  float best = v[0];
  for (int i = 1; i < 16; ++i) best = v[i] > best ? v[i] : best;
  return best;
}
TRIT_INLINE f32x16 select(i32x16 mask, f32x16 yes, f32x16 no) {
  return reinterpret_cast<f32x16>((reinterpret_cast<i32x16>(yes) & mask) |
                                  (reinterpret_cast<i32x16>(no) & ~mask));
}
TRIT_INLINE f32x16 larger(f32x16 a, f32x16 b) { return select(a > b, a, b); }
TRIT_INLINE f32x16 smaller(f32x16 a, f32x16 b) { return select(a < b, a, b); }

// Calls body(i, count) for the runs of 16 elements of a row; the last may have count < 16.
template <class Body>
TRIT_INLINE void for_runs(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, int64_t{16});
  if (i < n) body(i, n - i);
}
TRIT_INLINE f32x16 load_run(const float* p, int64_t count, float fill = 0.0f) {
  return count == 16 ? load(p) : load_part(p, count, fill);
}
TRIT_INLINE void store_run(float* p, f32x16 v, int64_t count) {
  count == 16 ? store(p, v) : store_part(p, v, count);
}

// To the nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
TRIT_INLINE f32x16 round_even(f32x16 x) {
  const f32x16 magic = splat(12582912.0f);
  return (x + magic) - magic;
}

// Sixteen doubles, as two registers of eight (compilers take wider vectors apart through memory).
struct f64x16 {
  f64x8 low, high;
};
TRIT_INLINE f64x16 operator+(f64x16 a, f64x16 b) { return {a.low + b.low, a.high + b.high}; }
TRIT_INLINE f64x16 operator*(f64x16 a, f64x16 b) { return {a.low * b.low, a.high * b.high}; }
TRIT_INLINE f64x16 operator*(f64x16 a, double b) { return {a.low * b, a.high * b}; }
TRIT_INLINE f64x16 operator-(f64x16 a, double b) { return {a.low - b, a.high - b}; }
TRIT_INLINE f64x16 operator/(f64x16 a, double b) { return {a.low / b, a.high / b}; }
// Written lane by lane: g++ 12 makes one instruction of this, and four of __builtin_convertvector.
TRIT_INLINE f64x8 widen(f32x8 x) { return f64x8{x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]}; }
TRIT_INLINE f64x16 widen(f32x16 x) {
  return {widen(__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7)),
          widen(__builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15))};
}
TRIT_INLINE f64x16 load_wide(const float* p) {
  f32x8 low, high;
  __builtin_memcpy(&low, p, sizeof low);
  __builtin_memcpy(&high, p + 8, sizeof high);
  return {widen(low), widen(high)};
}
TRIT_INLINE f32x16 narrow(f64x16 x) {
  return __builtin_shufflevector(__builtin_convertvector(x.low, f32x8),
                                 __builtin_convertvector(x.high, f32x8), 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                 9, 10, 11, 12, 13, 14, 15);
}
TRIT_INLINE f64x16 round_even(f64x16 x) {
  const double magic = 6755399441055744.0;  // 1.5 * 2^52
  return {(x.low + magic) - magic, (x.high + magic) - magic};
}
TRIT_INLINE f64x16 load_f64(const float* p) {
  f64x16 v;
  __builtin_memcpy(&v.low, p, sizeof v.low);
  __builtin_memcpy(&v.high, p + 16, sizeof v.high);
  return v;
}
TRIT_INLINE void store_f64(float* p, f64x16 v) {
  __builtin_memcpy(p, &v.low, sizeof v.low);
  __builtin_memcpy(p + 16, &v.high, sizeof v.high);
}
// Lanes i and i + 8 first, then in order.
TRIT_INLINE double sum_lanes(f64x16 v) {
  const f64x8 eight = v.low + v.high;
  double sum = eight[0];
  for (int lane = 1; lane < 8; ++lane) sum += eight[lane];
  return sum;
}

// exp(x) to 2 ulp: x = k ln2 + r, |r| <= ln2 / 2, a degree-6 polynomial in r (Cephes), times 2^k.
// Arguments are clamped to [-87.3, 88.3], so the result is a normal number.
TRIT_INLINE f32x16 exp16(f32x16 x) {
  x = smaller(larger(x, splat(-87.3f)), splat(88.3f));
  const f32x16 k = round_even(x * 1.44269504088896341f);
  const f32x16 r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
  f32x16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const i32x16 exponent = (__builtin_convertvector(k, i32x16) + 127) << 23;
  return p * reinterpret_cast<f32x16>(exponent);
}

TRIT_INLINE f32x16 sigmoid16(f32x16 x) { return 1.0f / (1.0f + exp16(-x)); }

// Half and bfloat16 to float32, exactly, for finite values: the 15 magnitude bits moved to float32's
// exponent and fraction; half then needs its exponent's bias corrected by 2^112.
TRIT_INLINE f32x16 load_f16(const uint16_t* p) {
  u16x16 h;
  __builtin_memcpy(&h, p, sizeof h);
  const u32x16 bits = __builtin_convertvector(h, u32x16);
  const f32x16 magnitude = reinterpret_cast<f32x16>((bits & 0x7FFFu) << 13) * 0x1p112f;
  return reinterpret_cast<f32x16>(reinterpret_cast<u32x16>(magnitude) | (bits & 0x8000u) << 16);
}
TRIT_INLINE f32x16 load_bf16(const uint16_t* p) {
  u16x16 h;
  __builtin_memcpy(&h, p, sizeof h);
  return reinterpret_cast<f32x16>(__builtin_convertvector(h, u32x16) << 16);
}

double quantize_i8(const float* x, int64_t n, int64_t n_padded, int8_t* q, int32_t* sum) {
  // Magnitudes compared as integers: the same order, and NaN above infinity above all numbers.
  i32x16 largest{};
  for_runs(n, [&](int64_t i, int64_t count) {
    const i32x16 magnitude = reinterpret_cast<i32x16>(load_run(x + i, count)) & 0x7FFFFFFF;
    const i32x16 above = magnitude > largest;
    largest = (magnitude & above) | (largest & ~above);
  });
  int32_t most = 0;
  for (int i = 0; i < 16; ++i) most = largest[i] > most ? largest[i] : most;
  float absmax;
  __builtin_memcpy(&absmax, &most, sizeof absmax);
  if (absmax < 1e-5f) absmax = 1e-5f;
  const double inverse = 127.0 / static_cast<double>(absmax);
  i32x16 total{};
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 rounded = narrow(round_even(widen(load_run(x + i, count)) * inverse));
    const f32x16 clamped = smaller(larger(rounded, splat(-128.0f)), splat(127.0f));
    const i32x16 integer = __builtin_convertvector(clamped, i32x16);
    total += integer;
    using i8x16 = int8_t __attribute__((vector_size(16)));
    const i8x16 bytes = __builtin_convertvector(integer, i8x16);
    __builtin_memcpy(q + i, &bytes, static_cast<size_t>(count));
  });
  for (int64_t i = n; i < n_padded; ++i) q[i] = 0;
  int32_t s = 0;
  for (int i = 0; i < 16; ++i) s += total[i];
  *sum = s;
  return static_cast<double>(absmax) / 127.0;
}

struct LoadF32 {
  static TRIT_INLINE f32x16 run(const float* p) { return load(p); }
};
struct LoadF16 {
  static TRIT_INLINE f32x16 run(const uint16_t* p) { return load_f16(p); }
};
struct LoadBf16 {
  static TRIT_INLINE f32x16 run(const uint16_t* p) { return load_bf16(p); }
};

// One row of weights against one of activations.
template <class Load, class W>
TRIT_INLINE float dense_dot(const W* w, const float* x, int64_t K) {
  f32x16 sum{};
  int64_t k = 0;
  for (; k + 16 <= K; k += 16) sum += Load::run(w + k) * load(x + k);
  if (k < K) {
    W tail[16] = {};
    __builtin_memcpy(tail, w + k, static_cast<size_t>(K - k) * sizeof(W));
    sum += Load::run(tail) * load_part(x + k, K - k, 0.0f);
  }
  return sum_lanes(sum);
}

// Four rows at a time share the loads of x; each keeps the sums of dense_dot.
template <class Load, class W>
TRIT_INLINE void dense_gemm(const W* w, int64_t rows, int64_t K, const float* x, int64_t T,
                            float* y, int64_t y_stride) {
  int64_t r = 0;
  for (; r + 4 <= rows && K % 16 == 0; r += 4) {
    const W* w0 = w + r * K;
    for (int64_t t = 0; t < T; ++t) {
      const float* xt = x + t * K;
      f32x16 s0{}, s1{}, s2{}, s3{};
      for (int64_t k = 0; k < K; k += 16) {
        const f32x16 xk = load(xt + k);
        s0 += Load::run(w0 + k) * xk;
        s1 += Load::run(w0 + K + k) * xk;
        s2 += Load::run(w0 + 2 * K + k) * xk;
        s3 += Load::run(w0 + 3 * K + k) * xk;
      }
      float* out = y + t * y_stride + r;
      out[0] = sum_lanes(s0);
      out[1] = sum_lanes(s1);
      out[2] = sum_lanes(s2);
      out[3] = sum_lanes(s3);
    }
  }
  for (; r < rows; ++r) {
    for (int64_t t = 0; t < T; ++t) y[t * y_stride + r] = dense_dot<Load>(w + r * K, x + t * K, K);
  }
}

void dense_gemm_f32(const float* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                    int64_t y_stride) {
  dense_gemm<LoadF32>(w, rows, K, x, T, y, y_stride);
}
void dense_gemm_f16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                    int64_t y_stride) {
  dense_gemm<LoadF16>(w, rows, K, x, T, y, y_stride);
}
void dense_gemm_bf16(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                     float* y, int64_t y_stride) {
  dense_gemm<LoadBf16>(w, rows, K, x, T, y, y_stride);
}

// A run's products are added in the order of its planes, lower half of the bytes first; then the runs.
void ternary_gemm_f32(const uint8_t* w, const float* scales, int64_t rows, int64_t row_bytes,
                      const float* x, int64_t T, float* y, int64_t y_stride) {
  using u8x16 = uint8_t __attribute__((vector_size(16)));
  const int64_t runs = row_bytes / 32;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < T; ++t) {
      f32x16 total{};
      for (int64_t j = 0; j < runs; ++j) {
        const float* xj = x + t * 4 * row_bytes + 128 * j;
        f32x16 sum{};
        for (int half = 0; half < 2; ++half) {
          u8x16 codes;
          __builtin_memcpy(&codes, w + r * row_bytes + 32 * j + 16 * half, sizeof codes);
          for (int plane = 0; plane < 4; ++plane) {
            const i32x16 level = __builtin_convertvector(codes >> (2 * plane) & 3, i32x16) - 1;
            sum += __builtin_convertvector(level, f32x16) * load(xj + 32 * plane + 16 * half);
          }
        }
        total += sum * scales[r * runs + j];
      }
      y[t * y_stride + r] = sum_lanes(total);
    }
  }
}

float dot(const float* x, const float* y, int64_t n) { return dense_dot<LoadF32>(x, y, n); }

// The sum of squares in double, so that r is right to the last bit.
TRIT_INLINE double inverse_rms(const float* x, int64_t n, float epsilon) {
  f64x16 sum{};
  for_runs(n, [&](int64_t i, int64_t count) {
    const f64x16 xi = widen(load_run(x + i, count));
    sum = sum + xi * xi;
  });
  return 1.0 /
         __builtin_sqrt(sum_lanes(sum) / static_cast<double>(n) + static_cast<double>(epsilon));
}

float rmsnorm(const float* x, const float* gain, int64_t n, float epsilon, float* y) {
  const double r = inverse_rms(x, n, epsilon);
  for_runs(n, [&](int64_t i, int64_t count) {
    const f64x16 normed = widen(load_run(x + i, count)) * r;
    store_run(y + i, narrow(gain ? normed * widen(load_run(gain + i, count)) : normed), count);
  });
  return static_cast<float>(r);
}

void rmsnorm_backward(const float* x, const float* gain, const float* dy, int64_t n, float epsilon,
                      float* dx, float* dgain) {
  const float r = 1.0f / __builtin_sqrtf(dot(x, x, n) / static_cast<float>(n) + epsilon);
  f32x16 sum{};
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 xi = load_run(x + i, count), dyi = load_run(dy + i, count);
    sum += (gain ? dyi * load_run(gain + i, count) : dyi) * xi;
  });
  const float back = sum_lanes(sum) / static_cast<float>(n) * r * r * r;
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 xi = load_run(x + i, count), dyi = load_run(dy + i, count);
    const f32x16 g = gain ? dyi * load_run(gain + i, count) : dyi;
    store_run(dx + i, load_run(dx + i, count) + (g * r - xi * back), count);
    if (gain) store_run(dgain + i, load_run(dgain + i, count) + dyi * xi * r, count);
  });
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 g = load_run(gate + i, count);
    store_run(y + i, g * sigmoid16(g) * load_run(up + i, count), count);
  });
}

// silu'(g) = s (1 + g (1 - s)), s = sigmoid(g).
void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t n, float* dgate,
                       float* dup) {
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 g = load_run(gate + i, count), u = load_run(up + i, count),
                 d = load_run(dy + i, count);
    const f32x16 s = sigmoid16(g);
    store_run(dgate + i, d * u * s * (1.0f + g * (1.0f - s)), count);
    store_run(dup + i, d * g * s, count);
  });
}

void relu2_mul(const float* gate, const float* up, int64_t n, float* y) {
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 g = larger(load_run(gate + i, count), f32x16{});
    store_run(y + i, g * g * load_run(up + i, count), count);
  });
}

void relu2_mul_backward(const float* gate, const float* up, const float* dy, int64_t n,
                        float* dgate, float* dup) {
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 g = larger(load_run(gate + i, count), f32x16{});
    const f32x16 u = load_run(up + i, count), d = load_run(dy + i, count);
    store_run(dgate + i, d * u * (g * 2.0f), count);
    store_run(dup + i, d * (g * g), count);
  });
}

void rotate(float* x, const float* cosine, const float* sine, int64_t D, float direction) {
  const int64_t half = D / 2;
  for_runs(half, [&](int64_t i, int64_t count) {
    const f32x16 a = load_run(x + i, count), b = load_run(x + half + i, count);
    const f32x16 c = load_run(cosine + i, count), s = load_run(sine + i, count) * direction;
    store_run(x + i, a * c - b * s, count);
    store_run(x + half + i, b * c + a * s, count);
  });
}

float exp_row(const float* x, int64_t n, float scale, float shift, float* p) {
  f32x16 sum{};
  for_runs(n, [&](int64_t i, int64_t count) {
    f32x16 e = exp16(load_run(x + i, count) * scale - shift);
    store_run(p + i, e, count);
    if (count < 16) e = load_part(p + i, count, 0.0f);
    sum += e;
  });
  return sum_lanes(sum);
}

TRIT_INLINE float max_row(const float* x, int64_t n) {
  f32x16 best = splat(x[0]);
  for_runs(n, [&](int64_t i, int64_t count) { best = larger(load_run(x + i, count, x[0]), best); });
  return max_lanes(best);
}

float cross_entropy(float* logits, int64_t n, int64_t target, float gradient_scale) {
  const float at_target = logits[target];
  const float largest = max_row(logits, n);
  if (gradient_scale == 0.0f) {
    f32x16 sum{};
    for_runs(n, [&](int64_t i, int64_t count) {
      f32x16 e = exp16(load_run(logits + i, count) - largest);
      if (count < 16) {
        float lanes[16];
        store(lanes, e);
        e = load_part(lanes, count, 0.0f);
      }
      sum += e;
    });
    return largest + __builtin_logf(sum_lanes(sum)) - at_target;
  }
  const float total = exp_row(logits, n, 1.0f, largest, logits);
  const float factor = gradient_scale / total;
  for_runs(n, [&](int64_t i, int64_t count) {
    store_run(logits + i, load_run(logits + i, count) * factor, count);
  });
  logits[target] -= gradient_scale;
  return largest + __builtin_logf(total) - at_target;
}

void add(const float* x, int64_t n, float* y) {
  for_runs(n, [&](int64_t i, int64_t count) {
    store_run(y + i, load_run(y + i, count) + load_run(x + i, count), count);
  });
}

void axpy(float a, const float* x, int64_t n, float* y) {
  for_runs(n, [&](int64_t i, int64_t count) {
    store_run(y + i, load_run(y + i, count) + load_run(x + i, count) * a, count);
  });
}

void scale_i8(const int8_t* q, double a, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(static_cast<double>(q[i]) * a);
}

void scale_i32(const int32_t* acc, double a, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(static_cast<double>(acc[i]) * a);
}

void adamw(const AdamStep& step, int64_t n, const float* gradient, float* parameter, float* m,
           float* v) {
  for_runs(n, [&](int64_t i, int64_t count) {
    const f32x16 g = load_run(gradient + i, count) * step.gradient_scale;
    const f32x16 mi = load_run(m + i, count) * step.beta1 + g * step.one_minus_beta1;
    const f32x16 vi = load_run(v + i, count) * step.beta2 + g * g * step.one_minus_beta2;
    float root[16];
    store(root, vi);
    for (float& lane : root) lane = __builtin_sqrtf(lane);
    const f32x16 p = load_run(parameter + i, count) * step.keep -
                     step.rate * mi / (load(root) * step.correction2 + step.epsilon);
    store_run(parameter + i, p, count);
    store_run(m + i, mi, count);
    store_run(v + i, vi, count);
  });
}

// The float rows of a table; the integer product is the including file's own.
Table float_rows() {
  Table t{};
  t.quantize_i8 = quantize_i8;
  t.ternary_gemm_f32 = ternary_gemm_f32;
  t.dense_gemm_f32 = dense_gemm_f32;
  t.dense_gemm_f16 = dense_gemm_f16;
  t.dense_gemm_bf16 = dense_gemm_bf16;
  t.rmsnorm = rmsnorm;
  t.rmsnorm_backward = rmsnorm_backward;
  t.silu_mul = silu_mul;
  t.silu_mul_backward = silu_mul_backward;
  t.relu2_mul = relu2_mul;
  t.relu2_mul_backward = relu2_mul_backward;
  t.rotate = rotate;
  t.cross_entropy = cross_entropy;
  t.exp_row = exp_row;
  t.add = add;
  t.axpy = axpy;
  t.dot = dot;
  t.scale_i8 = scale_i8;
  t.scale_i32 = scale_i32;
  t.adamw = adamw;
  return t;
}
