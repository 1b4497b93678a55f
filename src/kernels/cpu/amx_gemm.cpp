// Many tokens times ternary tiles with AMX: a tile multiplication takes 16 tokens x 64 activations as they stand
// in memory and 64 inputs of 16 rows as unpacked bytes, and adds to 16 x 16 sums. Up to 16 tokens share four such
// sums, 64 rows; more take two or three times 16 tokens and 32 rows, so that weights are unpacked once for up to 48.
// amx_codes.h makes the codes on the way.

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <initializer_list>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,amx-tile,amx-int8")
namespace trit::kernels {
namespace {

#include "kernels/cpu/amx_codes.h"

constexpr int64_t kTokens = 16;  // of a tile

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

  int64_t registers() const { return tiles * Form::kRows / 16; }  // of 16 rows
  int64_t steps() const { return (blocks * Form::kInputs + kStep - 1) / kStep; }
  template <int R>
  Maker<Form, R> maker(int64_t panel) const {
    const int64_t first = panel * steps() * kStepGroups;
    return {{w, tiles, blocks, panel}, first, first + blocks * Form::kInputs / 4};
  }
};

// Rows of the eight tiles, 1 to 16 each.
void configure(std::initializer_list<int64_t> rows) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  } config;
  std::copy(rows.begin(), rows.end(), config.rows);
  // g++ 12's intrinsic names the first eight bytes alone as read; without this it may leave the others unwritten.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// ---- Tokens of a pass, in groups of up to 16 that a tile holds ----
// A kind multiplies one step, with make() called where codes are to be made meanwhile. Sums: [groups][16 tokens][16 R].

// One group with 64 rows: tiles 0 to 3 are sums, 4 activations, 5 and 6 codes.
struct OneGroup {
  static constexpr int R = 4;
  int64_t T, x_stride;
  OneGroup(int64_t tokens, int64_t stride) : T(tokens), x_stride(stride) {
    configure({T, T, T, T, T, 16, 16, T});
  }
  static constexpr int64_t kGroups = 1;
  int64_t first(int64_t) const { return 0; }
  int64_t count(int64_t) const { return T; }

  TRIT_INLINE void clear() const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  template <class Make>
  TRIT_INLINE void step(const uint8_t* codes, const int8_t* x, Make make) const {
    _tile_loadd(4, x, x_stride);
    _tile_loadd(5, codes, 64 * R);
    make();
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, codes + 64, 64 * R);
    make();
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(5, codes + 128, 64 * R);
    make();
    _tile_dpbsud(2, 4, 5);
    _tile_loadd(6, codes + 192, 64 * R);
    make();
    _tile_dpbsud(3, 4, 6);
  }
  TRIT_INLINE void store(int32_t* sums) const {
    _tile_stored(0, sums, 64 * R);
    _tile_stored(1, sums + 16, 64 * R);
    _tile_stored(2, sums + 32, 64 * R);
    _tile_stored(3, sums + 48, 64 * R);
  }
};

// Two with 32 rows, so that each tile that is loaded is multiplied twice: 4 and 7 are activations.
struct TwoGroups {
  static constexpr int R = 2;
  static constexpr int64_t kGroups = 2;
  int64_t T, more, x_stride, second;  // more: tokens of the first group
  TwoGroups(int64_t tokens, int64_t stride)
      : T(tokens), more((T + 1) / 2), x_stride(stride), second(more * stride) {
    configure({more, more, T - more, T - more, more, 16, 16, T - more});
  }
  int64_t first(int64_t group) const { return group * more; }
  int64_t count(int64_t group) const { return group == 0 ? more : T - more; }

  TRIT_INLINE void clear() const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  template <class Make>
  TRIT_INLINE void step(const uint8_t* codes, const int8_t* x, Make make) const {
    _tile_loadd(4, x, x_stride);
    _tile_loadd(5, codes, 64 * R);
    make();
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, codes + 64, 64 * R);
    make();
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(7, x + second, x_stride);
    make();
    _tile_dpbsud(2, 7, 5);
    make();
    _tile_dpbsud(3, 7, 6);
  }
  TRIT_INLINE void store(int32_t* sums) const {
    _tile_stored(0, sums, 64 * R);
    _tile_stored(1, sums + 16, 64 * R);
    _tile_stored(2, sums + 16 * R * kTokens, 64 * R);
    _tile_stored(3, sums + 16 * R * kTokens + 16, 64 * R);
  }
};

// Three with 32 rows: six sums, so that one tile of activations and one of codes are left, which take turns. The
// groups are of equal size; where they are no multiple of three the last two overlap.
struct ThreeGroups {
  static constexpr int R = 2;
  static constexpr int64_t kGroups = 3;
  int64_t T, size, x_stride, second, third;
  ThreeGroups(int64_t tokens, int64_t stride)
      : T(tokens),
        size((T + 2) / 3),
        x_stride(stride),
        second(size * stride),
        third((T - size) * stride) {
    configure({size, size, size, size, size, size, size, 16});
  }
  int64_t first(int64_t group) const { return group == 2 ? T - size : group * size; }
  int64_t count(int64_t) const { return size; }

  TRIT_INLINE void clear() const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
  }
  template <class Make>
  TRIT_INLINE void step(const uint8_t* codes, const int8_t* x, Make make) const {
    _tile_loadd(6, x, x_stride);
    _tile_loadd(7, codes, 64 * R);
    make();
    _tile_dpbsud(0, 6, 7);
    _tile_loadd(7, codes + 64, 64 * R);
    make();
    _tile_dpbsud(1, 6, 7);
    _tile_loadd(6, x + second, x_stride);
    make();
    _tile_dpbsud(3, 6, 7);
    _tile_loadd(7, codes, 64 * R);
    _tile_dpbsud(2, 6, 7);
    _tile_loadd(6, x + third, x_stride);
    make();
    _tile_dpbsud(4, 6, 7);
    _tile_loadd(7, codes + 64, 64 * R);
    _tile_dpbsud(5, 6, 7);
  }
  TRIT_INLINE void store(int32_t* sums) const {
    _tile_stored(0, sums, 64 * R);
    _tile_stored(1, sums + 16, 64 * R);
    _tile_stored(2, sums + 16 * R * kTokens, 64 * R);
    _tile_stored(3, sums + 16 * R * kTokens + 16, 64 * R);
    _tile_stored(4, sums + 32 * R * kTokens, 64 * R);
    _tile_stored(5, sums + 32 * R * kTokens + 16, 64 * R);
  }
};

// ---- A pass ----

// Steps [begin, end) of the panel whose codes begin with `group` of the ring; what is made meanwhile is to reach `want`
// behind the first of them.
template <class Form, class Kind>
void multiply_steps(const Kind& kind, int64_t group, const int8_t* x, int64_t begin, int64_t end,
                    int64_t want, Maker<Form, Kind::R>& maker, uint8_t* ring) {
  const Kind k = kind;
  Maker<Form, Kind::R> m = maker;
  group += begin * kStepGroups;
  x += begin * kStep;
  for (int64_t s = begin; s < end; ++s, group += kStepGroups, want += kStepGroups, x += kStep) {
    const int64_t to = std::min(want, m.end);
    k.step(
        group_at<Kind::R>(ring, group), x, [&]() __attribute__((always_inline)) {
          keep_order();
          m.make_towards(to, ring);
          keep_order();
        });
  }
  maker = m;
}

// The codes are level + 1: x_sum takes the + 1 out.
template <class Form, class Kind>
void write_panel(const Product<Form>& p, const Kind& kind, int64_t panel, const int32_t* sums) {
  constexpr int R = Kind::R;
  const int64_t registers = std::min<int64_t>(R, p.registers() - panel * R);
  for (int64_t g = 0; g < Kind::kGroups; ++g) {
    for (int64_t i = 0; i < kind.count(g); ++i) {
      const int64_t t = kind.first(g) + i;
      const __m512i less = _mm512_set1_epi32(p.x_sum[t]);
      const int32_t* from = sums + (g * kTokens + i) * 16 * R;
      int32_t* y = p.y + t * p.y_stride + panel * 16 * R;
      for (int64_t r = 0; r < 16 * registers; r += 16)
        _mm512_storeu_si512(y + r, _mm512_sub_epi32(_mm512_load_si512(from + r), less));
    }
  }
}

template <class Kind, class Form>
void multiply_pass(const Product<Form>& p) {
  constexpr int R = Kind::R;
  alignas(64) uint8_t ring[kRingGroups * 64 * R];
  alignas(64) int32_t sums[Kind::kGroups * kTokens * 16 * R];
  const Kind kind(p.T, p.x_stride);
  const int64_t panels = (p.registers() + R - 1) / R;
  const int64_t steps = p.steps(), ahead = std::min(kAhead, steps);
  Maker<Form, R> maker = p.template maker<R>(0);
  maker.make_to(ahead * kStepGroups, ring);
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t group = panel * steps * kStepGroups, after = group + steps * kStepGroups;
    kind.clear();
    multiply_steps(kind, group, p.x, 0, steps - ahead, group + (ahead + 1) * kStepGroups, maker,
                   ring);
    maker.make_to(after, ring);
    maker.fill_up(after, ring);
    // While the last steps are multiplied the next panel begins.
    if (panel + 1 < panels) maker = p.template maker<R>(panel + 1);
    multiply_steps(kind, group, p.x, steps - ahead, steps, after + kStepGroups, maker, ring);
    if (panel + 1 < panels) maker.make_to(after + ahead * kStepGroups, ring);
    kind.store(sums);
    keep_order();
    write_panel(p, kind, panel, sums);
  }
}

template <class Form>
void multiply_all(const Product<Form>& p) {
  const int64_t passes = (p.T + 3 * kTokens - 1) / (3 * kTokens);
  for (int64_t pass = 0; pass < passes; ++pass) {  // of nearly equal size
    const int64_t begin = p.T * pass / passes, end = p.T * (pass + 1) / passes;
    Product<Form> part = p;
    part.x += begin * p.x_stride;
    part.x_sum += begin;
    part.y += begin * p.y_stride;
    part.T = end - begin;
    if (part.T <= kTokens) {
      multiply_pass<OneGroup>(part);
    } else if (part.T <= 2 * kTokens) {
      multiply_pass<TwoGroups>(part);
    } else {
      multiply_pass<ThreeGroups>(part);
    }
  }
  _tile_release();
}

// One token more than whole passes is dearer as a part of another pass than for the kernel of few.
int64_t left_over(int64_t T) {
  constexpr int64_t kPass = 3 * kTokens;
  return T > kPass && T % kPass == 1 ? 1 : 0;
}

}  // namespace

void two_bit_gemm_amx(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                      int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                      int64_t y_stride) {
  const int64_t rest = left_over(T), whole = T - rest;
  multiply_all(Product<TwoBit>{w, tiles, blocks, x, x_stride, x_sum, whole, y, y_stride});
  if (rest > 0) {
    two_bit_gemv_avx512vnni(w, tiles, blocks, x + whole * x_stride, x_stride, x_sum + whole, rest,
                            y + whole * y_stride, y_stride);
  }
}

void base3_gemm_amx(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                    int64_t x_stride, const int32_t* x_sum, const uint8_t*, int64_t T, int32_t* y,
                    int64_t y_stride) {
  multiply_all(Product<Base3>{w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride});
}

}  // namespace trit::kernels
TRIT_TARGET_END
#endif
