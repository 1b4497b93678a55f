// Products of tiles with few rows of activations, AVX-512. The tiles are read once, four at a time: four
// streams from memory. Each is cut along its inputs into chunks, one after the other in every row of
// activations while they are in the L1 cache; the sums stand in y between them, and a chunk prefetches what
// comes after it. docs/kernels.md has the drawing.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "quant/tiles.h"

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace trit::kernels {
namespace {

#include "kernels/cpu/tile_walk.h"

TRIT_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }

// ---- Two bits a weight ----
// The four planes are masked where they stand, without a shift: plane p then counts 4^p fold, sums in a
// register of its own and is divided by 4^p once, exactly.

// A type of its lanes, not __m512i: g++ 12 moves sums about that change their type in a loop.
using I32 = int32_t __attribute__((vector_size(64)));

TRIT_INLINE I32 broadcast_four(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return I32{} + four;
}

TRIT_INLINE I32 products(I32 sums, __m512i codes, int mask, I32 x) {
  const __m512i plane = _mm512_and_si512(codes, _mm512_set1_epi8(static_cast<char>(mask)));
  return reinterpret_cast<I32>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), plane, reinterpret_cast<__m512i>(x)));
}

struct Planes {
  I32 p0, p1, p2, p3;
};

TRIT_INLINE Planes activations(const int8_t* x) {
  return {broadcast_four(x), broadcast_four(x + 4), broadcast_four(x + 8), broadcast_four(x + 12)};
}

// Sums of N tiles. Named members, no array: g++ 12 would spill an array.
template <int N>
struct TwoBitSums {
  Planes first;
  TwoBitSums<N - 1> rest;
};
template <>
struct TwoBitSums<0> {};

TRIT_INLINE void add_block(TwoBitSums<0>&, const uint8_t*, const uint8_t*, int64_t, const Planes&) {
}
template <int N>
TRIT_INLINE void add_block(TwoBitSums<N>& s, const uint8_t* w, const uint8_t* next,
                           int64_t tile_bytes, const Planes& x) {
  const __m512i codes = load(w);
  prefetch(next);
  Planes& p = s.first;
  p.p0 = products(p.p0, codes, 0x03, x.p0);
  p.p1 = products(p.p1, codes, 0x0C, x.p1);
  p.p2 = products(p.p2, codes, 0x30, x.p2);
  p.p3 = products(p.p3, codes, 0xC0, x.p3);
  add_block(s.rest, w + tile_bytes, next + tile_bytes, tile_bytes, x);
}

TRIT_INLINE void add_to(const TwoBitSums<0>&, int32_t*) {}
template <int N>
TRIT_INLINE void add_to(const TwoBitSums<N>& s, int32_t* y) {
  const Planes& p = s.first;
  const I32 sums = (p.p0 + (p.p1 >> 2)) + ((p.p2 >> 4) + (p.p3 >> 6));
  _mm512_storeu_si512(y, _mm512_add_epi32(load(y), reinterpret_cast<__m512i>(sums)));
  add_to(s.rest, y + kTwoBitRows);
}

struct TwoBit {
  static constexpr int64_t kRows = kTwoBitRows, kTail = 0;
  static constexpr int64_t kMaxChunk = 64;

  const int8_t* x;
  int64_t x_stride;
  const int32_t* x_sum;

  template <int N>
  void chunk(const Chunk& c, int64_t t, int32_t* y) const {
    TwoBitSums<N> sums{};
    const int8_t* xt = x + t * x_stride + c.first * kTwoBitInputs;
    for (int64_t i = 0; i < c.blocks; ++i)
      add_block(sums, c.w + 64 * i, c.next + 64 * i, c.tile_bytes, activations(xt + 16 * i));
    add_to(sums, y);
  }

  // What a tile's sums begin with: the codes' + 1 taken out.
  void start(const uint8_t*, int64_t, int64_t t, int32_t* y) const {
    _mm512_storeu_si512(y, _mm512_set1_epi32(-x_sum[t]));
  }
};

// ---- Some tokens: a tile's planes are masked once for up to six ----

constexpr int64_t kSomeTokens = 6;  // times four planes of sums

template <int C>
struct TokenSums {
  Planes first;
  TokenSums<C - 1> rest;
};
template <>
struct TokenSums<0> {};

struct MaskedPlanes {
  __m512i p0, p1, p2, p3;
};
TRIT_INLINE MaskedPlanes masked_planes(__m512i codes) {
  const auto plane = [&](int mask) {
    return _mm512_and_si512(codes, _mm512_set1_epi8(static_cast<char>(mask)));
  };
  return {plane(0x03), plane(0x0C), plane(0x30), plane(0xC0)};
}

TRIT_INLINE I32 masked_products(I32 sums, __m512i plane, const int8_t* x) {
  return reinterpret_cast<I32>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), plane,
                                                   reinterpret_cast<__m512i>(broadcast_four(x))));
}

TRIT_INLINE void add_tokens(TokenSums<0>&, const MaskedPlanes&, const int8_t*, int64_t) {}
template <int C>
TRIT_INLINE void add_tokens(TokenSums<C>& s, const MaskedPlanes& codes, const int8_t* x,
                            int64_t x_stride) {
  Planes& p = s.first;
  p.p0 = masked_products(p.p0, codes.p0, x);
  p.p1 = masked_products(p.p1, codes.p1, x + 4);
  p.p2 = masked_products(p.p2, codes.p2, x + 8);
  p.p3 = masked_products(p.p3, codes.p3, x + 12);
  add_tokens(s.rest, codes, x + x_stride, x_stride);
}

TRIT_INLINE void write_tokens(const TokenSums<0>&, const int32_t*, int32_t*, int64_t) {}
template <int C>
TRIT_INLINE void write_tokens(const TokenSums<C>& s, const int32_t* x_sum, int32_t* y,
                              int64_t y_stride) {
  const Planes& p = s.first;
  const I32 sums = (p.p0 + (p.p1 >> 2)) + ((p.p2 >> 4) + (p.p3 >> 6));
  _mm512_storeu_si512(y, reinterpret_cast<__m512i>(sums - *x_sum));
  write_tokens(s.rest, x_sum + 1, y + y_stride, y_stride);
}

template <int C>
void multiply_tokens(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                     int64_t x_stride, const int32_t* x_sum, int32_t* y, int64_t y_stride) {
  constexpr int64_t kAhead = 1024;  // bytes, on into the next tile
  for (int64_t tile = 0; tile < tiles; ++tile, y += kTwoBitRows) {
    TokenSums<C> sums{};
    const int8_t* xi = x;
    for (int64_t i = 0; i < blocks; ++i, w += 64, xi += kTwoBitInputs) {
      prefetch(w + kAhead);
      add_tokens(sums, masked_planes(load(w)), xi, x_stride);
    }
    write_tokens(sums, x_sum, y, y_stride);
  }
}

}  // namespace

void two_bit_gemv_avx512vnni(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                             int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                             int64_t y_stride) {
  walk_tiles(TwoBit{x, x_stride, x_sum}, w, tiles, blocks, T, y, y_stride);
}

void two_bit_some_avx512vnni(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                             int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                             int64_t y_stride) {
  constexpr decltype(&multiply_tokens<1>) kMultiply[] = {multiply_tokens<1>, multiply_tokens<2>,
                                                         multiply_tokens<3>, multiply_tokens<4>,
                                                         multiply_tokens<5>, multiply_tokens<6>};
  const int64_t passes = (T + kSomeTokens - 1) / kSomeTokens;
  for (int64_t pass = 0; pass < passes; ++pass) {  // of nearly equal size
    const int64_t begin = T * pass / passes, count = T * (pass + 1) / passes - begin;
    kMultiply[count - 1](w, tiles, blocks, x + begin * x_stride, x_stride, x_sum + begin,
                         y + begin * y_stride, y_stride);
  }
}

}  // namespace trit::kernels
TRIT_TARGET_END

#endif
