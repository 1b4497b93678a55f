// Many tokens times ternary tiles with AVX-512 VNNI. The codes of 64 rows and a chunk of inputs are unpacked
// once to bytes that stay in the first cache: for every group of four inputs four registers, in whose lanes
// stand rows. A vpdpbusd multiplies one with four activations of a token, broadcast; so nothing is summed
// across lanes, and 4 registers x 6 tokens of sums fill the register file (docs/kernels.md).

#include "kernels/cpu/avx512_unpack.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace trit::kernels {
namespace {

constexpr int64_t kChunk = 640;  // inputs: whole blocks of both forms
constexpr int64_t kCodeBytes = kChunk / 4 * kGroupBytes;
constexpr int64_t kTokens = 6;        // of one pass over the codes
constexpr int64_t kTokenBlock = 512;  // whose activations of a chunk stay in the second cache
constexpr int64_t kBand = 4;          // times 64 rows, whose sums stay there as well
constexpr int64_t kBandTokens =
    200;  // of fewer the weights are read in the order in which they stand

// Where the next chunk's weights stand: 64 bytes at first + 4 i `along` .. and, between them, `across` apart.
struct Ahead {
  const uint8_t* first;
  int64_t across, along;
};

// ---- Sums ----

struct RowSums {
  __m512i a, b, c, d;
};
// Named members one inside the other: g++ 12 would spill an array.
template <int C>
struct Sums {
  RowSums rows;
  Sums<C - 1> rest;
};
template <>
struct Sums<0> {};

template <int C>
TRIT_INLINE void clear(Sums<C>& s) {
  if constexpr (C > 0) {
    const __m512i zero = _mm512_setzero_si512();
    s.rows = {zero, zero, zero, zero};
    clear(s.rest);
  }
}

template <int C>
TRIT_INLINE void accumulate(Sums<C>& s, const RowSums& codes, const int8_t* x, int64_t x_stride) {
  if constexpr (C > 0) {
    int32_t four;
    __builtin_memcpy(&four, x, sizeof four);
    const __m512i activations = _mm512_set1_epi32(four);
    s.rows.a = _mm512_dpbusd_epi32(s.rows.a, codes.a, activations);
    s.rows.b = _mm512_dpbusd_epi32(s.rows.b, codes.b, activations);
    s.rows.c = _mm512_dpbusd_epi32(s.rows.c, codes.c, activations);
    s.rows.d = _mm512_dpbusd_epi32(s.rows.d, codes.d, activations);
    accumulate(s.rest, codes, x + x_stride, x_stride);
  }
}

// Sums of 16 rows: the first chunk takes out the codes' + 1, later ones add.
struct Output {
  int32_t* y;
  int64_t y_stride;
  const int32_t* x_sum;
  int64_t registers;  // of 16 rows that there are
  bool first;
};

TRIT_INLINE void add_rows(const Output& out, int64_t t, int i, __m512i sums) {
  if (i >= out.registers) return;  // y may end before
  int32_t* y = out.y + t * out.y_stride + 16 * i;
  const __m512i before = out.first ? _mm512_set1_epi32(-out.x_sum[t]) : _mm512_loadu_si512(y);
  _mm512_storeu_si512(y, _mm512_add_epi32(sums, before));
}

template <int C>
TRIT_INLINE void write(const Output& out, int64_t t, const Sums<C>& s) {
  if constexpr (C > 0) {
    add_rows(out, t, 0, s.rows.a);
    add_rows(out, t, 1, s.rows.b);
    add_rows(out, t, 2, s.rows.c);
    add_rows(out, t, 3, s.rows.d);
    write(out, t + 1, s.rest);
  }
}

TRIT_INLINE RowSums load_codes(const uint8_t* codes) {
  return {_mm512_load_si512(codes), _mm512_load_si512(codes + 64), _mm512_load_si512(codes + 128),
          _mm512_load_si512(codes + 192)};
}

// C tokens from t on. Meanwhile the next weights are fetched, or (of later tokens) nothing.
template <bool kFetch, int C>
void multiply(const uint8_t* codes, int64_t groups, const int8_t* x, int64_t x_stride,
              const Ahead& ahead, int64_t t, const Output& out) {
  Sums<C> sums;
  clear(sums);
  const int8_t* xt = x + t * x_stride;
  const uint8_t* fetch = ahead.first;
  int64_t g = 0;
  for (; g + 4 <= groups; g += 4) {
    for (int i = 0; i < 4; ++i) {
      accumulate(sums, load_codes(codes), xt, x_stride);
      if constexpr (kFetch)
        _mm_prefetch(reinterpret_cast<const char*>(fetch + i * ahead.across), _MM_HINT_T1);
      codes += kGroupBytes;
      xt += 4;
    }
    fetch += ahead.along;
  }
  for (; g < groups; ++g) {
    accumulate(sums, load_codes(codes), xt, x_stride);
    codes += kGroupBytes;
    xt += 4;
  }
  write(out, t, sums);
}

template <bool kFetch>
void multiply_some(const uint8_t* codes, int64_t groups, const int8_t* x, int64_t x_stride,
                   const Ahead& ahead, int64_t t, int64_t tokens, const Output& out) {
  switch (tokens) {
    case 6:
      return multiply<kFetch, 6>(codes, groups, x, x_stride, ahead, t, out);
    case 5:
      return multiply<kFetch, 5>(codes, groups, x, x_stride, ahead, t, out);
    case 4:
      return multiply<kFetch, 4>(codes, groups, x, x_stride, ahead, t, out);
    case 3:
      return multiply<kFetch, 3>(codes, groups, x, x_stride, ahead, t, out);
    case 2:
      return multiply<kFetch, 2>(codes, groups, x, x_stride, ahead, t, out);
    default:
      return multiply<kFetch, 1>(codes, groups, x, x_stride, ahead, t, out);
  }
}

// ---- The product ----

struct TwoBit {
  static constexpr int64_t kTiles = 4, kInputs = 16;  // tiles for 64 rows
  static constexpr int64_t kChunkBlocks = kChunk / kInputs;
  static int64_t tile_bytes(int64_t blocks) { return 64 * blocks; }
  static Ahead ahead(const uint8_t* first, int64_t tile_bytes) { return {first, tile_bytes, 64}; }
};
struct Base3 {
  static constexpr int64_t kTiles = 1, kInputs = 5;
  static constexpr int64_t kChunkBlocks = kChunk / kInputs;
  static int64_t tile_bytes(int64_t blocks) { return 64 * blocks + 128; }
  static Ahead ahead(const uint8_t* first, int64_t) { return {first, 64, 256}; }
};

template <class Form>
struct Product {
  const uint8_t* w;
  int64_t tiles, blocks;
  const int8_t* x;
  int64_t x_stride;
  const int32_t* x_sum;
  int64_t T;
  int32_t* y;
  int64_t y_stride;
  UnpackCodes* unpack;

  int64_t quads() const { return (tiles + Form::kTiles - 1) / Form::kTiles; }
  const uint8_t* chunk(int64_t quad, int64_t block) const {
    return w + quad * Form::kTiles * Form::tile_bytes(blocks) + block * 64;
  }
};

// Tokens [begin, end) with 64 rows and the blocks of a chunk.
template <class Form>
void multiply_chunk(const Product<Form>& p, int64_t begin, int64_t end, int64_t quad, int64_t block,
                    const uint8_t* next) {
  alignas(64) uint8_t codes[kCodeBytes];
  const int64_t blocks = std::min(Form::kChunkBlocks, p.blocks - block);
  const int64_t tiles = std::min(Form::kTiles, p.tiles - quad * Form::kTiles);
  const int64_t tile_bytes = Form::tile_bytes(p.blocks);
  p.unpack(p.chunk(quad, block), tile_bytes, tiles, blocks, codes);
  const Output out{p.y + quad * 64, p.y_stride, p.x_sum, Form::kTiles == 1 ? 4 : tiles, block == 0};
  const int8_t* x = p.x + block * Form::kInputs;
  const int64_t groups = blocks * Form::kInputs / 4;
  const int64_t passes = (end - begin + kTokens - 1) / kTokens;
  int64_t t = begin;
  for (int64_t pass = 0; pass < passes; ++pass) {  // of nearly equal size
    const int64_t stop = begin + (end - begin) * (pass + 1) / passes;
    const Ahead ahead = Form::ahead(next, tile_bytes);
    if (pass == 0) {
      multiply_some<true>(codes, groups, x, p.x_stride, ahead, t, stop - t, out);
    } else {
      multiply_some<false>(codes, groups, x, p.x_stride, ahead, t, stop - t, out);
    }
    t = stop;
  }
}

template <class Form>
void multiply_all(const Product<Form>& p) {
  for (int64_t t = 0; t < p.T; t += kTokenBlock) {
    const int64_t end = std::min(p.T, t + kTokenBlock);
    const int64_t height = p.T < kBandTokens ? 1 : kBand;
    for (int64_t band = 0; band < p.quads(); band += height) {
      const int64_t last = std::min(p.quads(), band + height) - 1;
      for (int64_t block = 0; block < p.blocks; block += Form::kChunkBlocks) {
        for (int64_t quad = band; quad <= last; ++quad) {
          const int64_t after = block + Form::kChunkBlocks;
          const uint8_t* next = quad < last        ? p.chunk(quad + 1, block)
                                : after < p.blocks ? p.chunk(band, after)
                                                   : p.chunk(quad + 1, 0);
          multiply_chunk(p, t, end, quad, block, next);
        }
      }
    }
  }
}

}  // namespace

void two_bit_gemm_avx512(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                         int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                         int64_t y_stride) {
  multiply_all(
      Product<TwoBit>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride, unpack_two_bit_avx512});
}

void base3_gemm_avx512vnni(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                           int64_t x_stride, const int32_t* x_sum, const uint8_t*, int64_t T,
                           int32_t* y, int64_t y_stride) {
  multiply_all(Product<Base3>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride,
                              unpack_base3_avx512vnni});
}

void base3_gemm_avx512vbmi(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                           int64_t x_stride, const int32_t* x_sum, const uint8_t*, int64_t T,
                           int32_t* y, int64_t y_stride) {
  multiply_all(Product<Base3>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride,
                              unpack_base3_avx512vbmi});
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
