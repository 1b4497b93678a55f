#pragma once
// Every raw computation of the model, one row each: its formula, its shapes, and a function pointer
// per instruction set. Kernels take pointers and sizes, never fail, start no threads and hold no state.
//
// The scalar kernels are the specification. Integer results are exact, hence equal everywhere. Float
// rows are written once over vectors of 16 lanes (cpu/float_rows.h) with a fixed order of summation
// and no contraction to FMA, so every instruction set returns the same bits: a sum over n elements
// keeps 16 partial sums (element i in lane i mod 16) and adds them pairwise as a tree.
//
// Letters: n elements of a row; K inputs and N outputs of a matrix; T rows (tokens) of activations;
// D size of an attention head. Matrices are row-major. Pointers need the alignment of their type only.

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kv.h"

namespace trit::kernels {

enum class Isa : uint8_t {
  kScalar,
  kAvx2,
  kAvxVnni,     // AVX2 and vpdpbusd on 256 bits
  kAvx512Vnni,  // AVX-512 F, BW, DQ, VL and VNNI
  kAvx512Vbmi,  // the same and VBMI, GFNI: look-ups in 128 bytes
  kAmx,         // the same and AMX int8: tiles of 16 x 16 sums
  kNeon,        // 64-bit ARM
  kDotprod,     // the same and sdot
  kI8mm,        // the same and smmla
};
// "scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "amx", "neon", "dotprod", "i8mm"
std::string_view to_string(Isa isa);

struct AdamStep {
  float keep;  // 1 - learning rate * weight decay
  float rate;  // learning rate / (1 - beta1^t)
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float correction2;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float gradient_scale;  // gradients are multiplied by it first (clipping)
};

// A row x [K] as integers, for screening: x is about step (256 high + low), and what kernels take from the sums
// of parts of it. K is a multiple of 64.
struct ScreenInput {
  const int8_t *high, *low;               // [K], each -127 to 127
  const int16_t *high_runs, *low_runs;    // [K / 256][2][16]: -16 times the sum of each 16, twice
  const int32_t *high_fours, *low_fours;  // [K / 4]: -128 times the sum of each four
};

// How rows of a head are stored: floats, or ggml's blocks (quant/layouts.h).
enum class HeadForm : uint8_t { kF16, kBf16, kQ8_0, kQ6_K, kQ4_0, kQ4_K };
constexpr int kHeadForms = 6;

// Screens of up to kScreenTokens rows of x in one pass over the weights, which are rounded to bfloat16; K is a
// multiple of 32 and of the block. Null where an instruction set has none; cpu/screen_rows.h has what they are to
// return, but for what underflows in float32, which may be zero.
constexpr int64_t kScreenTokens = 32;
struct ManyScreen {
  // y[t][r] = sum_k bf16(w[r][k]) (high[t][k] + low[t][k]) for t < T <= kScreenTokens, in float32. x: the two parts
  // in bfloat16, as [K / 32][T / 16, rounded up][high, low][16 pairs of inputs][16 t][2], zero from T on.
  void (*screen)(const uint8_t* w, int64_t rows, int64_t K, const uint16_t* x, int64_t T, float* y,
                 int64_t y_stride);
  // Sums of (w - bf16(w))^2 and of w^2 over each row, as dot() of kernels.h adds.
  void (*errors)(const uint8_t* w, int64_t rows, int64_t K, float* error, float* norm);
};

struct Table {
  // Per-token absmax activations (BitNet b1.58, section 2): s = 127 / max(max|x|, 1e-5),
  // q = clamp(round_half_even(x s), -128, 127) for i < n, then zeros up to n_padded.
  // Returns the step 1/s = max(max|x|, 1e-5) / 127; *sum is the sum of q. A NaN or infinity in x
  // gives a step that is not finite.
  double (*quantize_i8)(const float* x, int64_t n, int64_t n_padded, int8_t* q, int32_t* sum);

  // y[t][r] = sum_k level[r][k] x[t][k] over int8 activations, exactly. w: 2-bit codes (level + 1)
  // in the canonical packing (quant/packing.h), row_bytes per row; x: [T, 4 row_bytes], zero past K;
  // x_sum[t] = sum_k x[t][k], which takes the + 1 out again. y: [T, y_stride].
  void (*ternary_gemm_i8)(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                          const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride);

  // The same product from tiles (quant/tiles.h), which the whole inference runs on. x: [T, x_stride], zero from K
  // to the end of the last block; y: [T, y_stride] with room for all rows of the tiles.
  //
  // two_bit_gemm_i8: `tiles` tiles of 16 rows, `blocks` blocks of 16 inputs each.
  void (*two_bit_gemm_i8)(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                          int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                          int64_t y_stride);
  // base3_gemm_i8: `tiles` tiles of 64 rows, `blocks` blocks of 5 inputs each (and the tile's tail). Products of up
  // to base3_table_rows rows go through tables: then `tables` holds those of the T rows, T x blocks x
  // base3_table_bytes, as base3_tables makes them of any run of blocks of one row (64-byte aligned). Otherwise
  // it is null.
  void (*base3_gemm_i8)(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                        int64_t x_stride, const int32_t* x_sum, const uint8_t* tables, int64_t T,
                        int32_t* y, int64_t y_stride);
  void (*base3_tables)(const int8_t* x, int64_t blocks,
                       uint8_t* tables);  // null when there are none
  int64_t base3_table_rows, base3_table_bytes;

  // y[t][r] = sum_j scale[r][j] sum_k level[r][k] x[t][k], k over the 128 inputs of run j; the packing as
  // above, scales: [rows, row_bytes / 32], x: [T, 4 row_bytes] float32, zero past K. The bits of y do
  // not depend on T or rows.
  void (*ternary_gemm_f32)(const uint8_t* w, const float* scales, int64_t rows, int64_t row_bytes,
                           const float* x, int64_t T, float* y, int64_t y_stride);

  // y[t][r] = sum_k w[r][k] x[t][k]; x: [T, K], y: [T, y_stride]. Weights in float32, float16 or
  // bfloat16 (finite), the sums in float32; the bits of y do not depend on T or rows.
  void (*dense_gemm_f32)(const float* w, int64_t rows, int64_t K, const float* x, int64_t T,
                         float* y, int64_t y_stride);
  void (*dense_gemm_f16)(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                         float* y, int64_t y_stride);
  void (*dense_gemm_bf16)(const uint16_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                          float* y, int64_t y_stride);

  // The same of weights in ggml's blocks (quant/layouts.h), K a multiple of the block: the bits of decoding
  // them to float32 and multiplying by dense_gemm_f32. Scales of blocks are finite.
  void (*dense_gemm_q8_0)(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                          float* y, int64_t y_stride);
  void (*dense_gemm_q6_k)(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                          float* y, int64_t y_stride);
  void (*dense_gemm_q4_0)(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                          float* y, int64_t y_stride);
  void (*dense_gemm_q4_k)(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                          float* y, int64_t y_stride);

  // Screens (ops/head_screen.h): y[r] = sum_k w[r][k] (256 high[k] + low[k]) of weights in ggml's blocks, rounded
  // a few times a block; the integers of a block are exact. The scalar kernel says in what order. Null where
  // an instruction set has none.
  void (*screen_q8_0)(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
  void (*screen_q6_k)(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y);
  ManyScreen many_screens[kHeadForms];  // by HeadForm

  // y = x * r * gain with r = 1 / sqrt(mean(x^2) + epsilon). gain == nullptr stands for ones. Returns r.
  float (*rmsnorm)(const float* x, const float* gain, int64_t n, float epsilon, float* y);
  // With g = dy * gain: dx += r g - x r^3 mean(g x); dgain += dy x r (unless gain is nullptr).
  void (*rmsnorm_backward)(const float* x, const float* gain, const float* dy, int64_t n,
                           float epsilon, float* dx, float* dgain);

  // y = silu(gate) up, silu(g) = g / (1 + exp(-g)).
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y);
  void (*silu_mul_backward)(const float* gate, const float* up, const float* dy, int64_t n,
                            float* dgate, float* dup);
  // y = max(gate, 0)^2 up (the squared ReLU of BitNet b1.58 2B4T).
  void (*relu2_mul)(const float* gate, const float* up, int64_t n, float* y);
  void (*relu2_mul_backward)(const float* gate, const float* up, const float* dy, int64_t n,
                             float* dgate, float* dup);

  // Rotary embedding of one head in place, halves rotated: (a_i, b_i) = (x[i], x[i + D/2]) becomes
  // (a cos_i - b sin_i, b cos_i + a sin_i); direction -1 turns back (the backward pass). D is even.
  void (*rotate)(float* x, const float* cosine, const float* sine, int64_t D, float direction);

  // Attention over cached keys and values (kernels/kv.h): out = sum_j p_j v_j, p = softmax(s), s_j = scale q.k_j.
  // A row's positions are taken in chunks, whose results attention_merge puts together in their order.
  KvRows kv[kKvTypes];  // by KvType
  // partials: of one query head, `chunks` of them, `stride` doubles apart. out: [D]. Returns log(sum_j exp(s_j)).
  float (*attention_merge)(const double* partials, int64_t chunks, int64_t stride, int64_t D,
                           float* out);

  // loss = log(sum_v exp(logits_v)) - logits_target. Replaces logits by their gradient
  // gradient_scale (softmax - onehot(target)) unless gradient_scale is 0. Returns the loss.
  float (*cross_entropy)(float* logits, int64_t n, int64_t target, float gradient_scale);

  // p[i] = exp(scale x[i] - shift) for i < n; returns their sum.
  float (*exp_row)(const float* x, int64_t n, float scale, float shift, float* p);

  // y += x; y += a x; y = a x; sum of x y.
  void (*add)(const float* x, int64_t n, float* y);
  void (*axpy)(float a, const float* x, int64_t n, float* y);
  float (*dot)(const float* x, const float* y, int64_t n);
  // y = q * a (dequantisation) and y = float(acc) * a (the epilogue of a BitLinear).
  void (*scale_i8)(const int8_t* q, double a, int64_t n, float* y);
  void (*scale_i32)(const int32_t* acc, double a, int64_t n, float* y);

  // AdamW with decoupled weight decay (Loshchilov and Hutter, 1711.05101), as PyTorch orders it:
  // p *= keep; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= rate m / (sqrt(v) correction2 + eps).
  void (*adamw)(const AdamStep& step, int64_t n, const float* gradient, float* parameter, float* m,
                float* v);
};

// Instruction sets that this machine runs, the best last; kScalar is always there.
std::span<const Isa> available();
const Table& table(Isa isa);

// The best of available(), or the one that TRIT_ISA names (Error when the machine does not run it).
Isa active_isa();
const Table& active();

// Rows as each file of cpu/ gives them.
Table scalar_table();
Table avx2_table();
Table avxvnni_table();
Table avx512vnni_table();
Table avx512vbmi_table();
Table amx_table();
Table neon_table();
Table dotprod_table();
Table i8mm_table();

}  // namespace trit::kernels
