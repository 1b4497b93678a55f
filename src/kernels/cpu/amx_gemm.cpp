// Many tokens times ternary tiles with AMX: a tile multiplication takes 16 tokens x 64 activations as they stand
// in memory and 64 inputs of 16 rows as unpacked bytes, and adds to 16 x 16 sums. Up to 16 tokens share four such
// sums, 64 rows; more take two or three times 16 tokens and 32 rows, so that weights are unpacked once for up to 48.
// Codes are unpacked a step ahead into a ring of a few KB: in the first cache, beside the activations that pass
// through it, a larger one costs twice the time (docs/kernels.md).

#include "kernels/cpu/avx512_unpack.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-int8")
namespace trit::kernels {
namespace {

constexpr int64_t kTokens = 16;  // of a tile
constexpr int64_t kStep = 64;    // inputs of a tile multiplication

// kRing: inputs whose codes are there at a time: whole steps, and whole units of unpacking (kUnit).
// kAhead: blocks from what is unpacked to what is fetched from memory.
struct TwoBit {
  static constexpr int64_t kTiles = 4, kInputs = 16, kUnit = 16, kRing = 128, kAhead = 32;
  static int64_t tile_bytes(int64_t blocks) { return 64 * blocks; }
};
struct Base3 {
  static constexpr int64_t kTiles = 1, kInputs = 5, kUnit = 20, kRing = 320, kAhead = 128;
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
  // The same of their first or second half, as registers 0 and 1.
  void unpack_half(int64_t quad, int64_t half, int64_t block, int64_t count, uint8_t* codes) const {
    const int64_t bytes = Form::tile_bytes(blocks);
    const uint8_t* from = w + quad * Form::kTiles * bytes + block * 64;
    if constexpr (Form::kTiles == 1) {
      unpack_base3_half_avx512vbmi(from, half, count, codes);
    } else {
      const int64_t there = std::min<int64_t>(2, tiles_of(quad) - 2 * half);
      unpack(from + 2 * half * bytes, bytes, there, count, codes);
    }
  }
  // Brings blocks that will be unpacked soon into the first cache; behind the last ones, those of the next 64 rows.
  void fetch(int64_t quad, int64_t block, int64_t count) const {
    const int64_t bytes = Form::tile_bytes(blocks);
    if (block >= blocks) {
      block -= blocks;
      ++quad;
    }
    const uint8_t* from = w + quad * Form::kTiles * bytes + block * 64;
    for (int64_t tile = 0; tile < Form::kTiles; ++tile) {
      for (int64_t i = 0; i < count; ++i)
        _mm_prefetch(reinterpret_cast<const char*>(from + tile * bytes + 64 * i), _MM_HINT_T0);
    }
  }
};

// Tiles: 0 and 1 sums of `first` tokens and 16 rows, 4 their activations; 2, 3 and 7 of `second` ones, 1 to 16 each;
// 5 and 6 codes.
void configure(int64_t first, int64_t second) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  } config;
  config.rows[0] = config.rows[1] = config.rows[4] = static_cast<uint8_t>(first);
  config.rows[2] = config.rows[3] = config.rows[7] = static_cast<uint8_t>(second);
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

// Twice up to 16 tokens with 32 rows: each tile that is loaded is multiplied twice. The second tokens are `second`
// behind the first ones.
TRIT_INLINE void load_pair_sums(const int32_t* y, int64_t y_stride, int64_t second) {
  const int32_t* y2 = y + second * y_stride;
  _tile_loadd(0, y, 4 * y_stride);
  _tile_loadd(1, y + 16, 4 * y_stride);
  _tile_loadd(2, y2, 4 * y_stride);
  _tile_loadd(3, y2 + 16, 4 * y_stride);
}

TRIT_INLINE void store_pair_sums(int32_t* y, int64_t y_stride, int64_t second) {
  int32_t* y2 = y + second * y_stride;
  _tile_stored(0, y, 4 * y_stride);
  _tile_stored(1, y + 16, 4 * y_stride);
  _tile_stored(2, y2, 4 * y_stride);
  _tile_stored(3, y2 + 16, 4 * y_stride);
}

TRIT_INLINE void multiply_pair_step(const uint8_t* codes, const int8_t* x, int64_t x_stride,
                                    int64_t second) {
  _tile_loadd(4, x, x_stride);
  _tile_loadd(5, codes, kGroupBytes);
  _tile_dpbsud(0, 4, 5);
  _tile_loadd(6, codes + 64, kGroupBytes);
  _tile_dpbsud(1, 4, 6);
  _tile_loadd(7, x + second * x_stride, x_stride);
  _tile_dpbsud(2, 7, 5);
  _tile_dpbsud(3, 7, 6);
}

// Three times up to 16 tokens with 32 rows: six sums, so that one tile of activations and one of codes are left, which
// take turns.
TRIT_INLINE void load_triple_sums(const int32_t* y, int64_t group) {
  _tile_loadd(0, y, 128);
  _tile_loadd(1, y + 16, 128);
  _tile_loadd(2, y + 32 * group, 128);
  _tile_loadd(3, y + 32 * group + 16, 128);
  _tile_loadd(4, y + 64 * group, 128);
  _tile_loadd(5, y + 64 * group + 16, 128);
}

TRIT_INLINE void store_triple_sums(int32_t* y, int64_t group) {
  _tile_stored(0, y, 128);
  _tile_stored(1, y + 16, 128);
  _tile_stored(2, y + 32 * group, 128);
  _tile_stored(3, y + 32 * group + 16, 128);
  _tile_stored(4, y + 64 * group, 128);
  _tile_stored(5, y + 64 * group + 16, 128);
}

TRIT_INLINE void multiply_triple_step(const uint8_t* codes, const int8_t* x, int64_t x_stride,
                                      int64_t second, int64_t third) {
  _tile_loadd(6, x, x_stride);
  _tile_loadd(7, codes, kGroupBytes);
  _tile_dpbsud(0, 6, 7);
  _tile_loadd(7, codes + 64, kGroupBytes);
  _tile_dpbsud(1, 6, 7);
  _tile_loadd(6, x + second * x_stride, x_stride);
  _tile_dpbsud(3, 6, 7);
  _tile_loadd(7, codes, kGroupBytes);
  _tile_dpbsud(2, 6, 7);
  _tile_loadd(6, x + third * x_stride, x_stride);
  _tile_dpbsud(4, 6, 7);
  _tile_loadd(7, codes + 64, kGroupBytes);
  _tile_dpbsud(5, 6, 7);
}

// The codes are level + 1; the sums begin with what takes the + 1 out.
void begin_sums(const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  for (int64_t t = 0; t < T; ++t, y += y_stride) {
    const __m512i less = _mm512_set1_epi32(-x_sum[t]);
    for (int i = 0; i < 64; i += 16) _mm512_storeu_si512(y + i, less);
  }
}

// ---- Up to 16 tokens: all inputs in one pass, unpacked a step ahead of the multiplication ----

// The codes of 64 rows, or of one half of them, made on the way.
template <class Form>
class CodeRing {
 public:
  static constexpr int64_t kAll = -1;
  CodeRing(const Product<Form>& p, int64_t quad, int64_t half = kAll)
      : p_(p), quad_(quad), half_(half) {}
  const uint8_t* step(int64_t input) const {
    return codes_ + input % Form::kRing / 4 * kGroupBytes;
  }

  // Unpacks inputs up to `end`, as far as there are any; then zeros up to a whole step.
  void unpack_to(int64_t end) {
    const int64_t all = p_.blocks * Form::kInputs;
    if (done_ >= all) return;
    end = std::min(end, all);
    while (done_ < end) {
      const int64_t units = (end - done_ + Form::kUnit - 1) / Form::kUnit;
      const int64_t count = std::min(units * Form::kUnit, Form::kRing - done_ % Form::kRing);
      const int64_t block = done_ / Form::kInputs, blocks = count / Form::kInputs;
      uint8_t* to = codes_ + done_ % Form::kRing / 4 * kGroupBytes;
      if (half_ != 1) p_.fetch(quad_, block + Form::kAhead, blocks);
      half_ == kAll ? p_.unpack_blocks(quad_, block, blocks, to)
                    : p_.unpack_half(quad_, half_, block, blocks, to);
      done_ += count;
    }
    if (done_ >= all) fill_up(codes_ + all % Form::kRing / 4 * kGroupBytes, all);
  }

 private:
  static void fill_up(uint8_t* codes, int64_t inputs) {
    for (; inputs % kStep != 0; inputs += 4, codes += kGroupBytes) {
      for (int i = 0; i < 4; ++i) _mm512_store_si512(codes + 64 * i, _mm512_setzero_si512());
    }
  }

  const Product<Form>& p_;
  int64_t quad_, half_, done_ = 0;
  alignas(64) uint8_t codes_[Form::kRing / 4 * kGroupBytes];
};

template <class Form>
void stream(const Product<Form>& p, int64_t quad, int32_t* sums) {
  CodeRing<Form> codes(p, quad);
  begin_sums(p.x_sum, p.T, sums, 64);
  load_sums(sums, 64);
  codes.unpack_to(kStep);
  for (int64_t k = 0; k < p.blocks * Form::kInputs; k += kStep) {
    codes.unpack_to(k + 2 * kStep);
    multiply_step(codes.step(k), p.x + k, p.x_stride);
  }
  store_sums(sums, 64);
}

template <class Form>
void multiply_few(const Product<Form>& p) {
  alignas(64) int32_t sums[kTokens * 64];
  configure(p.T, p.T);
  for (int64_t quad = 0; quad < p.quads(); ++quad) {
    stream(p, quad, sums);
    for (int64_t t = 0; t < p.T; ++t)
      std::copy_n(sums + 64 * t, 16 * p.registers_of(quad), p.y + t * p.y_stride + 64 * quad);
  }
}

// ---- Up to 32 tokens: the same with half of the rows at a time, for there are eight tiles ----

template <class Form>
void stream_half(const Product<Form>& p, int64_t quad, int64_t half, int32_t* sums) {
  const int64_t second = (p.T + 1) / 2;
  CodeRing<Form> codes(p, quad, half);
  for (int64_t t = 0; t < p.T; ++t) {
    const __m512i less = _mm512_set1_epi32(-p.x_sum[t]);
    _mm512_store_si512(sums + 32 * t, less);
    _mm512_store_si512(sums + 32 * t + 16, less);
  }
  load_pair_sums(sums, 32, second);
  codes.unpack_to(kStep);
  for (int64_t k = 0; k < p.blocks * Form::kInputs; k += kStep) {
    codes.unpack_to(k + 2 * kStep);
    multiply_pair_step(codes.step(k), p.x + k, p.x_stride, second);
  }
  store_pair_sums(sums, 32, second);
}

template <class Form>
void multiply_some(const Product<Form>& p) {
  alignas(64) int32_t sums[2 * kTokens * 32];
  configure((p.T + 1) / 2, p.T / 2);
  for (int64_t quad = 0; quad < p.quads(); ++quad) {
    for (int64_t half = 0; 2 * half < p.registers_of(quad); ++half) {
      stream_half(p, quad, half, sums);
      const int64_t count = 16 * std::min<int64_t>(2, p.registers_of(quad) - 2 * half);
      for (int64_t t = 0; t < p.T; ++t)
        std::copy_n(sums + 32 * t, count, p.y + t * p.y_stride + 64 * quad + 32 * half);
    }
  }
}

// ---- Up to 48 tokens: groups of equal size; where they are no multiple of three the last two overlap ----

void configure_triple(int64_t group) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 7; ++i) config.rows[i] = static_cast<uint8_t>(group);
  config.rows[7] = 16;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

template <class Form>
void stream_triple(const Product<Form>& p, int64_t quad, int64_t half, int64_t group,
                   int32_t* sums) {
  CodeRing<Form> codes(p, quad, half);
  for (int64_t row = 0; row < 3 * group; ++row) {
    const int64_t t = row < 2 * group ? row : row - (3 * group - p.T);
    const __m512i less = _mm512_set1_epi32(-p.x_sum[t]);
    _mm512_store_si512(sums + 32 * row, less);
    _mm512_store_si512(sums + 32 * row + 16, less);
  }
  load_triple_sums(sums, group);
  codes.unpack_to(kStep);
  for (int64_t k = 0; k < p.blocks * Form::kInputs; k += kStep) {
    codes.unpack_to(k + 2 * kStep);
    multiply_triple_step(codes.step(k), p.x + k, p.x_stride, group, p.T - group);
  }
  store_triple_sums(sums, group);
}

template <class Form>
void multiply_triples(const Product<Form>& p) {
  alignas(64) int32_t sums[3 * kTokens * 32];
  const int64_t group = (p.T + 2) / 3;
  configure_triple(group);
  for (int64_t quad = 0; quad < p.quads(); ++quad) {
    for (int64_t half = 0; 2 * half < p.registers_of(quad); ++half) {
      stream_triple(p, quad, half, group, sums);
      const int64_t count = 16 * std::min<int64_t>(2, p.registers_of(quad) - 2 * half);
      for (int64_t t = 0; t < p.T; ++t) {
        const int64_t row = t < 2 * group ? t : t + 3 * group - p.T;
        std::copy_n(sums + 32 * row, count, p.y + t * p.y_stride + 64 * quad + 32 * half);
      }
    }
  }
}

// ---- More: passes of up to 48 ----

template <class Form>
void multiply_in_passes(const Product<Form>& p) {
  const int64_t passes = (p.T + 3 * kTokens - 1) / (3 * kTokens);
  for (int64_t pass = 0; pass < passes; ++pass) {  // of nearly equal size
    const int64_t begin = p.T * pass / passes, end = p.T * (pass + 1) / passes;
    Product<Form> part = p;
    part.x += begin * p.x_stride;
    part.x_sum += begin;
    part.y += begin * p.y_stride;
    part.T = end - begin;
    part.T > 2 * kTokens ? multiply_triples(part) : multiply_some(part);
  }
}

template <class Form>
void multiply_all(const Product<Form>& p) {
  if (p.T <= kTokens) {
    multiply_few(p);
  } else {
    multiply_in_passes(p);
  }
  _tile_release();
}

// One token more than whole passes is dearer as a pass than for the kernel of few.
int64_t left_over(int64_t T) {
  constexpr int64_t kPass = 3 * kTokens;
  return T > kPass && T % kPass == 1 ? 1 : 0;
}

}  // namespace

void two_bit_gemm_amx(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                      int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                      int64_t y_stride) {
  const int64_t rest = left_over(T), whole = T - rest;
  multiply_all(Product<TwoBit>{w, tiles, blocks, x, x_stride, x_sum, whole, y, y_stride,
                               unpack_two_bit_avx512});
  if (rest > 0) {
    two_bit_gemv_avx512vnni(w, tiles, blocks, x + whole * x_stride, x_stride, x_sum + whole, rest,
                            y + whole * y_stride, y_stride);
  }
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
