// NEON with the dot products of ARMv8.2: sdot adds four neighbouring products of bytes to a 32-bit lane.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

#if TRIT_ARM_EXTENSIONS
#include <arm_neon.h>

TRIT_TARGET_BEGIN("arch=armv8.2-a+dotprod")
namespace trit::kernels {
namespace {

#include "kernels/cpu/neon_panel.h"
#include "kernels/cpu/tile_walk.h"

// Sums of four rows over the planes of two-bit codes. All but the last plane are masked where they stand, without
// a shift: plane p then counts 4^p fold, which is divided out once, exactly. (The last one would be negative.)
struct Planes {
  int32x4_t p0, p1, p2, p3;
};
TRIT_INLINE int8x16_t masked(uint8x16_t codes, uint8_t mask) {
  return vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(mask)));
}
TRIT_INLINE int8x16_t last_plane(uint8x16_t codes) {
  return vreinterpretq_s8_u8(vshrq_n_u8(codes, 6));
}
TRIT_INLINE int32x4_t total(const Planes& p) {
  return vaddq_s32(vsraq_n_s32(p.p0, p.p1, 2), vsraq_n_s32(p.p3, p.p2, 4));
}

// ---- The canonical packing ----

TRIT_INLINE void add_half_run(Planes& s, const uint8_t* codes, const int8_t* x) {
  const uint8x16_t c = vld1q_u8(codes);
  s.p0 = vdotq_s32(s.p0, masked(c, 0x03), vld1q_s8(x));
  s.p1 = vdotq_s32(s.p1, masked(c, 0x0C), vld1q_s8(x + 32));
  s.p2 = vdotq_s32(s.p2, masked(c, 0x30), vld1q_s8(x + 64));
  s.p3 = vdotq_s32(s.p3, last_plane(c), vld1q_s8(x + 96));
}

void ternary_gemm_i8(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                     const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = w + r * row_bytes;
    for (int64_t t = 0; t < T; ++t) {
      const int8_t* xt = x + t * 4 * row_bytes;
      Planes sums{};
      for (int64_t b = 0; b < row_bytes; b += 32) {
        add_half_run(sums, row + b, xt + 4 * b);
        add_half_run(sums, row + b + 16, xt + 4 * b + 16);
      }
      y[t * y_stride + r] = vaddvq_s32(total(sums)) - x_sum[t];
    }
  }
}

// ---- Two bits a weight, few rows of activations ----

struct TwoBit {
  static constexpr int64_t kRows = 16, kTail = 0;
  static constexpr int64_t kMaxChunk = 64;

  const int8_t* x;
  int64_t x_stride;
  const int32_t* x_sum;

  static TRIT_INLINE void four_rows(Planes& s, const uint8_t* codes, int8x16_t xs) {
    const uint8x16_t c = vld1q_u8(codes);
    s.p0 = vdotq_laneq_s32(s.p0, masked(c, 0x03), xs, 0);
    s.p1 = vdotq_laneq_s32(s.p1, masked(c, 0x0C), xs, 1);
    s.p2 = vdotq_laneq_s32(s.p2, masked(c, 0x30), xs, 2);
    s.p3 = vdotq_laneq_s32(s.p3, last_plane(c), xs, 3);
  }
  static TRIT_INLINE void add_to(const Planes& s, int32_t* y) {
    vst1q_s32(y, vaddq_s32(vld1q_s32(y), total(s)));
  }
  // Half a tile at a time: g++ 12 would spill the sums of a whole one.
  static TRIT_INLINE void eight_rows(const uint8_t* w, const uint8_t* next, int64_t blocks,
                                     const int8_t* x, int32_t* y) {
    Planes first{}, second{};
    for (int64_t i = 0; i < blocks; ++i, w += 64, next += 64) {
      const int8x16_t xs = vld1q_s8(x + 16 * i);
      prefetch(next);
      four_rows(first, w, xs);
      four_rows(second, w + 16, xs);
    }
    add_to(first, y);
    add_to(second, y + 4);
  }

  template <int N>
  void chunk(const Chunk& c, int64_t t, int32_t* y) const {
    for (int64_t i = 0; i < 2 * N; ++i) {
      const int64_t at = i / 2 * c.tile_bytes + i % 2 * 32;
      eight_rows(c.w + at, c.next + at, c.blocks, x + t * x_stride + c.first * 16, y + 8 * i);
    }
  }
  void start(const uint8_t*, int64_t, int64_t t, int32_t* y) const {
    const int32x4_t first = vdupq_n_s32(-x_sum[t]);
    for (int64_t r = 0; r < kRows; r += 4) vst1q_s32(y + r, first);
  }
};

// ---- Many rows of activations ----

struct Core {
  static constexpr int kTokens = 4;
  static int64_t arrange(int8_t*, int64_t quads) { return quads; }

  // Named members, no array: g++ 12 would spill an array.
  template <int T>
  struct Sums {
    int32x4_t r0, r1, r2, r3;
    Sums<T - 1> rest;
  };
  struct Quad {
    int8x16_t r0, r1, r2, r3;
  };

  static TRIT_INLINE void add(Sums<0>&, const Quad&, const int8_t*, int64_t) {}
  template <int T>
  static TRIT_INLINE void add(Sums<T>& s, const Quad& quad, const int8_t* x, int64_t x_stride) {
    const int8x16_t four = four_of(x);
    s.r0 = vdotq_s32(s.r0, quad.r0, four);
    s.r1 = vdotq_s32(s.r1, quad.r1, four);
    s.r2 = vdotq_s32(s.r2, quad.r2, four);
    s.r3 = vdotq_s32(s.r3, quad.r3, four);
    add(s.rest, quad, x + x_stride, x_stride);
  }
  static TRIT_INLINE void add_to(const Sums<0>&, int32_t*, int64_t) {}
  template <int T>
  static TRIT_INLINE void add_to(const Sums<T>& s, int32_t* y, int64_t y_stride) {
    vst1q_s32(y, vaddq_s32(vld1q_s32(y), s.r0));
    vst1q_s32(y + 4, vaddq_s32(vld1q_s32(y + 4), s.r1));
    vst1q_s32(y + 8, vaddq_s32(vld1q_s32(y + 8), s.r2));
    vst1q_s32(y + 12, vaddq_s32(vld1q_s32(y + 12), s.r3));
    add_to(s.rest, y + y_stride, y_stride);
  }

  template <int T>
  static void multiply(const int8_t* levels, int64_t quads, const int8_t* x, int64_t x_stride,
                       int32_t* y, int64_t y_stride) {
    Sums<T> sums{};
    for (int64_t q = 0; q < quads; ++q, levels += 64) {
      add(sums,
          Quad{vld1q_s8(levels), vld1q_s8(levels + 16), vld1q_s8(levels + 32),
               vld1q_s8(levels + 48)},
          x + 4 * q, x_stride);
    }
    add_to(sums, y, y_stride);
  }
};
template <>
struct Core::Sums<0> {};

}  // namespace

void two_bit_gemv_dotprod(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                          int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                          int64_t y_stride) {
  walk_tiles(TwoBit{x, x_stride, x_sum}, w, tiles, blocks, T, y, y_stride);
}
void two_bit_gemm_dotprod(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                          int64_t x_stride, const int32_t*, int64_t T, int32_t* y,
                          int64_t y_stride) {
  multiply_tiles<Core>(TwoBitTiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}
void base3_gemm_dotprod(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                        int64_t x_stride, const int32_t*, const uint8_t*, int64_t T, int32_t* y,
                        int64_t y_stride) {
  multiply_tiles<Core>(Base3Tiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}

Table dotprod_table() {
  Table table = neon_table();
  table.ternary_gemm_i8 = ternary_gemm_i8;
  set_tile_rows(Isa::kDotprod, table);
  return table;
}

}  // namespace trit::kernels
TRIT_TARGET_END

#else
namespace trit::kernels {
Table dotprod_table() { return scalar_table(); }
}  // namespace trit::kernels
#endif
