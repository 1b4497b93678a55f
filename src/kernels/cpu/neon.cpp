// NEON as every 64-bit ARM has it: products of bytes into 16-bit lanes. The vectors of the float
// rows are NEON registers in the specification already; attention over packed pages is written for it.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace trit::kernels {
namespace {

#include "kernels/cpu/float_rows.h"
#include "kernels/cpu/ggml_rows.h"
#include "kernels/cpu/kv_rows.h"
#include "kernels/cpu/lanes_neon.h"
#include "kernels/cpu/neon_panel.h"
#include "kernels/cpu/tile_walk.h"
// Behind the lanes.
#include "kernels/cpu/kv_packed.h"

// Sums of products in 16-bit lanes: of the lower and of the upper half of 16 pairs of bytes.
struct Products {
  int16x8_t low, high;
};

TRIT_INLINE void add_products(Products& p, int8x16_t a, int8x16_t b) {
  p.low = vmlal_s8(p.low, vget_low_s8(a), vget_low_s8(b));
  p.high = vmlal_high_s8(p.high, a, b);
}
// Four neighbouring products are a row's.
TRIT_INLINE void add_rows(const Products& p, int32_t* y) {
  const int32x4_t rows = vpaddq_s32(vpaddlq_s16(p.low), vpaddlq_s16(p.high));
  vst1q_s32(y, vaddq_s32(vld1q_s32(y), rows));
}

template <int Shift>
TRIT_INLINE int8x16_t plane(uint8x16_t codes) {
  if constexpr (Shift == 0) {
    return vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(3)));
  } else if constexpr (Shift == 6) {
    return vreinterpretq_s8_u8(vshrq_n_u8(codes, 6));
  } else {
    return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, Shift), vdupq_n_u8(3)));
  }
}

// ---- The canonical packing ----

// A run's products, of which a 16-bit lane gets 16, at most 2 * 128 in size.
TRIT_INLINE int16x8_t run_products(const uint8_t* codes, const int8_t* x) {
  Products p{};
  for (int half = 0; half < 32; half += 16) {
    const uint8x16_t c = vld1q_u8(codes + half);
    add_products(p, plane<0>(c), vld1q_s8(x + half));
    add_products(p, plane<2>(c), vld1q_s8(x + 32 + half));
    add_products(p, plane<4>(c), vld1q_s8(x + 64 + half));
    add_products(p, plane<6>(c), vld1q_s8(x + 96 + half));
  }
  return vaddq_s16(p.low, p.high);
}

void ternary_gemm_i8(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                     const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = w + r * row_bytes;
    for (int64_t t = 0; t < T; ++t) {
      const int8_t* xt = x + t * 4 * row_bytes;
      int32x4_t sum = vdupq_n_s32(0);
      for (int64_t b = 0; b < row_bytes; b += 32)
        sum = vpadalq_s16(sum, run_products(row + b, xt + 4 * b));
      y[t * y_stride + r] = vaddvq_s32(sum) - x_sum[t];
    }
  }
}

// ---- Two bits a weight, few rows of activations ----

struct TwoBit {
  static constexpr int64_t kRows = 16, kTail = 0;
  static constexpr int64_t kMaxChunk = 31;  // a lane gets four products of at most 256 from a block

  const int8_t* x;
  int64_t x_stride;
  const int32_t* x_sum;

  static TRIT_INLINE void four_rows(Products& p, const uint8_t* codes, int8x16_t x0, int8x16_t x1,
                                    int8x16_t x2, int8x16_t x3) {
    const uint8x16_t c = vld1q_u8(codes);
    add_products(p, plane<0>(c), x0);
    add_products(p, plane<2>(c), x1);
    add_products(p, plane<4>(c), x2);
    add_products(p, plane<6>(c), x3);
  }
  static TRIT_INLINE void tile(const uint8_t* w, const uint8_t* next, int64_t blocks,
                               const int8_t* x, int32_t* y) {
    Products p0{}, p1{}, p2{}, p3{};
    for (int64_t i = 0; i < blocks; ++i, w += 64, next += 64, x += 16) {
      const int8x16_t x0 = four_of(x), x1 = four_of(x + 4), x2 = four_of(x + 8),
                      x3 = four_of(x + 12);
      prefetch(next);
      four_rows(p0, w, x0, x1, x2, x3);
      four_rows(p1, w + 16, x0, x1, x2, x3);
      four_rows(p2, w + 32, x0, x1, x2, x3);
      four_rows(p3, w + 48, x0, x1, x2, x3);
    }
    add_rows(p0, y);
    add_rows(p1, y + 4);
    add_rows(p2, y + 8);
    add_rows(p3, y + 12);
  }

  template <int N>
  void chunk(const Chunk& c, int64_t t, int32_t* y) const {
    for (int64_t i = 0; i < N; ++i) {
      tile(c.w + i * c.tile_bytes, c.next + i * c.tile_bytes, c.blocks,
           x + t * x_stride + c.first * 16, y + i * kRows);
    }
  }
  void start(const uint8_t*, int64_t, int64_t t, int32_t* y) const {
    const int32x4_t first = vdupq_n_s32(-x_sum[t]);
    for (int64_t r = 0; r < kRows; r += 4) vst1q_s32(y + r, first);
  }
};

// ---- Many rows of activations ----

struct Core {
  static constexpr int kTokens = 2;
  static int64_t arrange(int8_t*, int64_t quads) { return quads; }

  template <int T>
  struct Sums {  // a panel has 160 quads: 160 products of at most 128 fit 16 bits
    Products p0, p1, p2, p3;
    Sums<T - 1> rest;
  };

  static TRIT_INLINE void add(Sums<0>&, const int8_t*, const int8_t*, int64_t) {}
  template <int T>
  static TRIT_INLINE void add(Sums<T>& s, const int8_t* quad, const int8_t* x, int64_t x_stride) {
    const int8x16_t four = four_of(x);
    add_products(s.p0, vld1q_s8(quad), four);
    add_products(s.p1, vld1q_s8(quad + 16), four);
    add_products(s.p2, vld1q_s8(quad + 32), four);
    add_products(s.p3, vld1q_s8(quad + 48), four);
    add(s.rest, quad, x + x_stride, x_stride);
  }
  static TRIT_INLINE void add_to(const Sums<0>&, int32_t*, int64_t) {}
  template <int T>
  static TRIT_INLINE void add_to(const Sums<T>& s, int32_t* y, int64_t y_stride) {
    add_rows(s.p0, y);
    add_rows(s.p1, y + 4);
    add_rows(s.p2, y + 8);
    add_rows(s.p3, y + 12);
    add_to(s.rest, y + y_stride, y_stride);
  }

  template <int T>
  static void multiply(const int8_t* levels, int64_t quads, const int8_t* x, int64_t x_stride,
                       int32_t* y, int64_t y_stride) {
    Sums<T> sums{};
    for (int64_t q = 0; q < quads; ++q) add(sums, levels + 64 * q, x + 4 * q, x_stride);
    add_to(sums, y, y_stride);
  }
};
template <>
struct Core::Sums<0> {};

}  // namespace

void two_bit_gemv_neon(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                       int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                       int64_t y_stride) {
  walk_tiles(TwoBit{x, x_stride, x_sum}, w, tiles, blocks, T, y, y_stride);
}
void two_bit_gemm_neon(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                       int64_t x_stride, const int32_t*, int64_t T, int32_t* y, int64_t y_stride) {
  multiply_tiles<Core>(TwoBitTiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}
void base3_gemm_neon(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                     int64_t x_stride, const int32_t*, const uint8_t*, int64_t T, int32_t* y,
                     int64_t y_stride) {
  multiply_tiles<Core>(Base3Tiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}

Table neon_table() {
  Table table = float_rows();
  add_kv_rows(table);
  add_ggml_rows(table);
  table.ternary_gemm_i8 = ternary_gemm_i8;
  set_tile_rows(Isa::kNeon, table);
  return table;
}

}  // namespace trit::kernels

#else
namespace trit::kernels {
Table neon_table() { return scalar_table(); }
}  // namespace trit::kernels
#endif
