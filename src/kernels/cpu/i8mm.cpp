// NEON with the matrix products of ARMv8.6: smmla adds the products of two rows of activations and two of weights,
// eight inputs of each, to four sums: twice the products of sdot.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

#if TRIT_ARM_EXTENSIONS
#include <arm_neon.h>

TRIT_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")
namespace trit::kernels {
namespace {

#include "kernels/cpu/neon_panel.h"

struct Core {
  static constexpr int kTokens = 4;

  // Two quads become eight inputs of two rows a register: [input / 8][row][input % 8].
  static int64_t arrange(int8_t* levels, int64_t quads) {
    if (quads % 2 != 0) __builtin_memset(levels + 64 * quads, 0, 64);
    const int64_t even = (quads + 1) / 2 * 2;
    for (int64_t q = 0; q < even; q += 2, levels += 128) {
      int32x4_t pairs[8];
      for (int g = 0; g < 4; ++g) {  // four rows
        const int32x4_t a = vreinterpretq_s32_s8(vld1q_s8(levels + 16 * g));
        const int32x4_t b = vreinterpretq_s32_s8(vld1q_s8(levels + 64 + 16 * g));
        pairs[2 * g] = vzip1q_s32(a, b);
        pairs[2 * g + 1] = vzip2q_s32(a, b);
      }
      for (int p = 0; p < 8; ++p) vst1q_s8(levels + 16 * p, vreinterpretq_s8_s32(pairs[p]));
    }
    return even;
  }

  // Sums of T rows of activations, two at a time, with 16 rows of weights. Lanes: two rows of weights for
  // the first of the two, then for the second.
  template <int T>
  struct Sums {
    int32x4_t r0, r1, r2, r3, r4, r5, r6, r7;
    Sums<T - 2> rest;
  };

  template <int T>
  static TRIT_INLINE void add(Sums<T>& s, const int8_t* w, const int8_t* x, int64_t x_stride) {
    if constexpr (T > 0) {
      const int8x16_t two = vcombine_s8(vld1_s8(x), T > 1 ? vld1_s8(x + x_stride) : vdup_n_s8(0));
      s.r0 = vmmlaq_s32(s.r0, two, vld1q_s8(w));
      s.r1 = vmmlaq_s32(s.r1, two, vld1q_s8(w + 16));
      s.r2 = vmmlaq_s32(s.r2, two, vld1q_s8(w + 32));
      s.r3 = vmmlaq_s32(s.r3, two, vld1q_s8(w + 48));
      s.r4 = vmmlaq_s32(s.r4, two, vld1q_s8(w + 64));
      s.r5 = vmmlaq_s32(s.r5, two, vld1q_s8(w + 80));
      s.r6 = vmmlaq_s32(s.r6, two, vld1q_s8(w + 96));
      s.r7 = vmmlaq_s32(s.r7, two, vld1q_s8(w + 112));
      add(s.rest, w, x + 2 * x_stride, x_stride);
    }
  }

  template <bool Second>
  static TRIT_INLINE void add_four(int32x4_t a, int32x4_t b, int32_t* y) {
    const auto half = [](int32x4_t v) { return Second ? vget_high_s32(v) : vget_low_s32(v); };
    vst1q_s32(y, vaddq_s32(vld1q_s32(y), vcombine_s32(half(a), half(b))));
  }
  template <bool Second, int T>
  static TRIT_INLINE void add_row(const Sums<T>& s, int32_t* y) {
    add_four<Second>(s.r0, s.r1, y);
    add_four<Second>(s.r2, s.r3, y + 4);
    add_four<Second>(s.r4, s.r5, y + 8);
    add_four<Second>(s.r6, s.r7, y + 12);
  }
  template <int T>
  static TRIT_INLINE void add_to(const Sums<T>& s, int32_t* y, int64_t y_stride) {
    if constexpr (T > 0) {
      add_row<false>(s, y);
      if constexpr (T > 1) add_row<true>(s, y + y_stride);
      add_to(s.rest, y + 2 * y_stride, y_stride);
    }
  }

  template <int T>
  static void multiply(const int8_t* levels, int64_t quads, const int8_t* x, int64_t x_stride,
                       int32_t* y, int64_t y_stride) {
    Sums<T> sums{};
    for (int64_t q = 0; q < quads; q += 2) add(sums, levels + 64 * q, x + 4 * q, x_stride);
    add_to(sums, y, y_stride);
  }
};
template <>
struct Core::Sums<0> {};
template <>
struct Core::Sums<-1> {};

}  // namespace

void two_bit_gemm_i8mm(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                       int64_t x_stride, const int32_t*, int64_t T, int32_t* y, int64_t y_stride) {
  multiply_tiles<Core>(TwoBitTiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}
void base3_gemm_i8mm(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                     int64_t x_stride, const int32_t*, const uint8_t*, int64_t T, int32_t* y,
                     int64_t y_stride) {
  multiply_tiles<Core>(Base3Tiles{w, blocks}, tiles, x, x_stride, T, y, y_stride);
}

Table i8mm_table() {
  Table table = dotprod_table();
  set_tile_rows(Isa::kI8mm, table);
  return table;
}

}  // namespace trit::kernels
TRIT_TARGET_END

#else
namespace trit::kernels {
Table i8mm_table() { return scalar_table(); }
}  // namespace trit::kernels
#endif
