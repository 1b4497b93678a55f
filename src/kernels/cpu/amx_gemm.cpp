// Many tokens times ternary tiles with AMX: a tile multiplication takes 16 tokens x 64 activations as they stand
// in memory and 64 inputs of 16 rows as unpacked bytes, and adds to 16 x 16 sums. Four such sums, 64 rows,
// share the tokens.

#include "kernels/cpu/avx512_unpack.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-int8")
namespace trit::kernels {
namespace {

constexpr int64_t kTokens = 16;  // of a pass
constexpr int64_t kStep = 64;    // inputs of a tile multiplication
constexpr int64_t kStepBytes = 16 * kGroupBytes;
constexpr int64_t kPart = 320;        // inputs: whole steps and whole blocks of both forms
constexpr int64_t kParts = 4;         // of a chunk, whose codes are unpacked at once
constexpr int64_t kTokenBlock = 512;  // whose activations of a chunk stay in the second cache
constexpr int64_t kBand = 4;          // times 64 rows, whose sums stay there as well

struct TwoBit {
  static constexpr int64_t kTiles = 4, kInputs = 16, kSlice = 4;  // blocks unpacked during a step
  static int64_t tile_bytes(int64_t blocks) { return 64 * blocks; }
};
struct Base3 {
  static constexpr int64_t kTiles = 1, kInputs = 5, kSlice = 16;
  static int64_t tile_bytes(int64_t blocks) { return 64 * blocks + 128; }
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
  int64_t tiles_of(int64_t quad) const {
    return std::min(Form::kTiles, tiles - quad * Form::kTiles);
  }
  // Registers of 16 rows that there are.
  int64_t registers_of(int64_t quad) const { return Form::kTiles == 1 ? 4 : tiles_of(quad); }
  // Blocks [block, block + count) of 64 rows.
  void unpack_blocks(int64_t quad, int64_t block, int64_t count, uint8_t* codes) const {
    const int64_t bytes = Form::tile_bytes(blocks);
    unpack(w + quad * Form::kTiles * bytes + block * 64, bytes, tiles_of(quad), count, codes);
  }
};

// Zeros behind `blocks` blocks of codes, up to a whole step.
template <class Form>
void fill_up(int64_t blocks, uint8_t* codes) {
  const int64_t bytes = blocks * Form::kInputs / 4 * kGroupBytes;
  for (int64_t i = bytes; i % kStepBytes != 0; i += 64)
    _mm512_store_si512(codes + i, _mm512_setzero_si512());
}

// Tiles: 0 to 3 sums of `tokens` tokens and 16 rows, 4 activations, 5 and 6 codes.
void configure(int64_t tokens) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 5; ++i) config.rows[i] = static_cast<uint8_t>(tokens);
  config.rows[5] = config.rows[6] = 16;
  // g++ 12's intrinsic names the first eight bytes alone as read; without this it may leave the others unwritten.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

TRIT_INLINE void load_sums(const int32_t* y, int64_t y_stride) {
  _tile_loadd(0, y, 4 * y_stride);
  _tile_loadd(1, y + 16, 4 * y_stride);
  _tile_loadd(2, y + 32, 4 * y_stride);
  _tile_loadd(3, y + 48, 4 * y_stride);
}

TRIT_INLINE void store_sums(int32_t* y, int64_t y_stride) {
  _tile_stored(0, y, 4 * y_stride);
  _tile_stored(1, y + 16, 4 * y_stride);
  _tile_stored(2, y + 32, 4 * y_stride);
  _tile_stored(3, y + 48, 4 * y_stride);
}

TRIT_INLINE void multiply_step(const uint8_t* codes, const int8_t* x, int64_t x_stride) {
  _tile_loadd(4, x, x_stride);
  _tile_loadd(5, codes, kGroupBytes);
  _tile_dpbsud(0, 4, 5);
  _tile_loadd(6, codes + 64, kGroupBytes);
  _tile_dpbsud(1, 4, 6);
  _tile_loadd(5, codes + 128, kGroupBytes);
  _tile_dpbsud(2, 4, 5);
  _tile_loadd(6, codes + 192, kGroupBytes);
  _tile_dpbsud(3, 4, 6);
}

// The codes are level + 1; the sums begin with what takes the + 1 out.
void begin_sums(const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  for (int64_t t = 0; t < T; ++t, y += y_stride) {
    const __m512i less = _mm512_set1_epi32(-x_sum[t]);
    for (int i = 0; i < 64; i += 16) _mm512_storeu_si512(y + i, less);
  }
}

// Where 64 rows' sums are kept: in y, or, of fewer than 64 rows, beside it.
struct Sums {
  int32_t* y;
  int64_t stride;
};

// ---- Up to 16 tokens: all inputs in one pass, unpacked a part ahead of the multiplication ----

template <class Form>
void stream(const Product<Form>& p, int64_t quad, uint8_t* codes, int32_t* sums) {
  constexpr int64_t kPartBlocks = kPart / Form::kInputs, kPartBytes = kPart / 4 * kGroupBytes;
  begin_sums(p.x_sum, p.T, sums, 64);
  load_sums(sums, 64);
  const int64_t first = std::min(kPartBlocks, p.blocks);
  p.unpack_blocks(quad, 0, first, codes);
  fill_up<Form>(first, codes);
  int64_t half = 0;
  for (int64_t block = 0; block < p.blocks; block += kPartBlocks, half ^= kPartBytes) {
    const int64_t inputs = std::min(kPartBlocks, p.blocks - block) * Form::kInputs;
    int64_t next = block + kPartBlocks;
    const int64_t last = std::min(next + kPartBlocks, p.blocks);
    const int64_t ahead = std::max<int64_t>(0, last - next);
    uint8_t* const other = codes + (half ^ kPartBytes);
    uint8_t* to = other;
    for (int64_t k = 0; k < inputs; k += kStep) {
      if (next < last) {
        const int64_t count = std::min(Form::kSlice, last - next);
        p.unpack_blocks(quad, next, count, to);
        to += count * Form::kInputs / 4 * kGroupBytes;
        next += count;
      }
      multiply_step(codes + half + k / kStep * kStepBytes, p.x + block * Form::kInputs + k,
                    p.x_stride);
    }
    fill_up<Form>(ahead, other);
  }
  store_sums(sums, 64);
}

template <class Form>
void multiply_few(const Product<Form>& p) {
  alignas(64) uint8_t codes[2 * kPart / 4 * kGroupBytes];
  alignas(64) int32_t sums[kTokens * 64];
  configure(p.T);
  for (int64_t quad = 0; quad < p.quads(); ++quad) {
    stream(p, quad, codes, sums);
    for (int64_t t = 0; t < p.T; ++t)
      std::copy_n(sums + 64 * t, 16 * p.registers_of(quad), p.y + t * p.y_stride + 64 * quad);
  }
}

// ---- More: a chunk of inputs unpacked, then multiplied with all tokens ----

template <class Form>
void multiply_chunk(const Product<Form>& p, int64_t begin, int64_t end, int64_t quad, int64_t block,
                    const Sums& sums) {
  alignas(64) uint8_t codes[kParts * kPart / 4 * kGroupBytes];
  const int64_t count = std::min(kParts * kPart / Form::kInputs, p.blocks - block);
  p.unpack_blocks(quad, block, count, codes);
  fill_up<Form>(count, codes);
  const int8_t* x = p.x + block * Form::kInputs;
  const int64_t steps = (count * Form::kInputs + kStep - 1) / kStep;
  const int64_t passes = (end - begin + kTokens - 1) / kTokens;
  int64_t t = begin, configured = 0;
  for (int64_t pass = 0; pass < passes; ++pass) {  // of nearly equal size, the larger ones last
    const int64_t stop = begin + (end - begin) * (pass + 1) / passes;
    if (stop - t != configured) configure(configured = stop - t);
    int32_t* y = sums.y + (t - begin) * sums.stride;
    load_sums(y, sums.stride);
    for (int64_t i = 0; i < steps; ++i)
      multiply_step(codes + i * kStepBytes, x + t * p.x_stride + i * kStep, p.x_stride);
    store_sums(y, sums.stride);
    t = stop;
  }
}

// Tokens [begin, end), up to four times 64 rows.
template <class Form>
void multiply_band(const Product<Form>& p, int64_t begin, int64_t end, int64_t first,
                   int64_t last) {
  for (int64_t block = 0; block < p.blocks; block += kParts * kPart / Form::kInputs) {
    for (int64_t quad = first; quad < last; ++quad) {
      const Sums sums{p.y + begin * p.y_stride + 64 * quad, p.y_stride};
      if (block == 0) begin_sums(p.x_sum + begin, end - begin, sums.y, sums.stride);
      multiply_chunk(p, begin, end, quad, block, sums);
    }
  }
}

// 64 rows of which some are not there: their sums have no place in y.
template <class Form>
void multiply_rest(const Product<Form>& p, int64_t begin, int64_t end, int64_t quad) {
  alignas(64) int32_t sums[kTokens * 64];
  for (int64_t t = begin; t < end; t += kTokens) {
    const int64_t stop = std::min(end, t + kTokens);
    begin_sums(p.x_sum + t, stop - t, sums, 64);
    for (int64_t block = 0; block < p.blocks; block += kParts * kPart / Form::kInputs)
      multiply_chunk(p, t, stop, quad, block, {sums, 64});
    for (int64_t i = t; i < stop; ++i) {
      std::copy_n(sums + 64 * (i - t), 16 * p.registers_of(quad), p.y + i * p.y_stride + 64 * quad);
    }
  }
}

template <class Form>
void multiply_many(const Product<Form>& p) {
  const int64_t whole = p.tiles / Form::kTiles;
  for (int64_t t = 0; t < p.T; t += kTokenBlock) {
    const int64_t end = std::min(p.T, t + kTokenBlock);
    for (int64_t quad = 0; quad < whole; quad += kBand)
      multiply_band(p, t, end, quad, std::min(whole, quad + kBand));
    if (whole < p.quads()) multiply_rest(p, t, end, whole);
  }
}

// Up to this many tokens, passes of 16 that unpack while they multiply take less time than one unpacking for all.
constexpr int64_t kFewTokens = 96;

template <class Form>
void multiply_all(const Product<Form>& p) {
  if (p.T > kFewTokens) {
    multiply_many(p);
  } else {
    const int64_t passes = (p.T + kTokens - 1) / kTokens;
    for (int64_t pass = 0; pass < passes; ++pass) {
      const int64_t begin = p.T * pass / passes, end = p.T * (pass + 1) / passes;
      Product<Form> part = p;
      part.x += begin * p.x_stride;
      part.x_sum += begin;
      part.y += begin * p.y_stride;
      part.T = end - begin;
      multiply_few(part);
    }
  }
  _tile_release();
}

}  // namespace

void two_bit_gemm_amx(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                      int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                      int64_t y_stride) {
  multiply_all(
      Product<TwoBit>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride, unpack_two_bit_avx512});
}

void base3_gemm_amx(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                    int64_t x_stride, const int32_t* x_sum, const uint8_t*, int64_t T, int32_t* y,
                    int64_t y_stride) {
  multiply_all(Product<Base3>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride,
                              unpack_base3_avx512vbmi});
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
