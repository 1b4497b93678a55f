// Rows that screen a head for several tokens, with AMX in bfloat16: 32 rows of weights are decoded and rounded 256
// inputs at a time, a piece ahead of the tiles that multiply them. Tiles 0 and 1 are the sums of 16 rows each for 16
// tokens, 2 and 3 those for 16 more; 4 and 5 weights; 6 and 7 the two parts of the tokens' inputs.

#include "kernels/cpu/screen_rows.h"
#include "kernels/cpu/target.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")
namespace trit::kernels {
namespace {

#include "kernels/cpu/avx512_weights.h"

constexpr int64_t kRows = 32, kStep = 32, kSteps = 8;  // steps of a piece
constexpr int64_t kTile = 16 * kStep;                  // values

// As they lie in the tiles.
struct Piece {
  alignas(64) uint16_t w[kSteps][kRows][kStep];
};

void configure() {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  // g++ 12's intrinsic names the first eight bytes alone as read; without this it may leave the others unwritten.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

TRIT_INLINE void store_rounded(void* out, __m512 first, __m512 second) {
  _mm512_storeu_si512(out, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
}

// `steps` steps of a row.
template <class Weights>
TRIT_INLINE void decode(const uint8_t* w, int64_t steps, int64_t row, Piece& piece) {
  constexpr int64_t kOnce = Weights::kWeights / kStep;
  for (int64_t step = 0; step < steps; step += kOnce, w += Weights::kBytes) {
    __m512 first = _mm512_setzero_ps();
    Weights::each(w, [&](int run, __m512 weights) {
      if (run % 2 == 0) {
        first = weights;
      } else {
        store_rounded(piece.w[step + run / 2][row], first, weights);
      }
    });
  }
}

template <int kTokenTiles>
TRIT_INLINE void multiply_step(const uint16_t (&w)[kRows][kStep], const uint16_t* x) {
  _tile_loadd(4, w[0], 2 * kStep);
  _tile_loadd(5, w[16], 2 * kStep);
  _tile_loadd(6, x, 2 * kStep);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 5, 6);
  _tile_loadd(7, x + kTile, 2 * kStep);
  _tile_dpbf16ps(0, 4, 7);
  _tile_dpbf16ps(1, 5, 7);
  if constexpr (kTokenTiles == 2) {
    _tile_loadd(6, x + 2 * kTile, 2 * kStep);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 5, 6);
    _tile_loadd(7, x + 3 * kTile, 2 * kStep);
    _tile_dpbf16ps(2, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }
}

// y[t][r] of the sums [32 rows][16 tokens].
void write_sums(const float (&sums)[kRows][16], int64_t rows, int64_t T, float* y,
                int64_t y_stride) {
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t r = 0; r < rows; ++r) y[t * y_stride + r] = sums[r][t];
  }
}

template <class Weights, int kTokenTiles>
struct Screen {
  const uint8_t* w;
  int64_t rows, K;
  const uint16_t* x;
  int64_t T;
  float* y;
  int64_t y_stride;

  int64_t steps() const { return K / kStep; }
  int64_t row_bytes() const { return K / Weights::kWeights * Weights::kBytes; }

  // Rows [first, first + 4) of the strip that begins with row `strip`, one piece of them; the same of the strip after
  // it is fetched.
  TRIT_INLINE void decode_four(int64_t strip, int64_t piece, int64_t first, Piece& out) const {
    const int64_t count = std::min(kSteps, steps() - piece * kSteps);
    const int64_t bytes = count * kStep / Weights::kWeights * Weights::kBytes;
    const int64_t begin = piece * kSteps * kStep / Weights::kWeights * Weights::kBytes;
    const int64_t end = std::min(first + 4, rows - strip);
    for (int64_t r = first; r < end; ++r) {
      const uint8_t* from = w + (strip + r) * row_bytes() + begin;
      for (int64_t line = 0; line < bytes; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(from + kRows * row_bytes() + line), _MM_HINT_T1);
      decode<Weights>(from, count, r, out);
    }
  }

  void write(int64_t strip) const {
    alignas(64) float sums[kRows][16];
    const int64_t here = std::min(kRows, rows - strip);
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[16], 64);
    write_sums(sums, here, std::min<int64_t>(T, 16), y + strip, y_stride);
    if constexpr (kTokenTiles == 2) {
      _tile_stored(2, sums[0], 64);
      _tile_stored(3, sums[16], 64);
      write_sums(sums, here, T - 16, y + 16 * y_stride + strip, y_stride);
    }
  }

  void run() const {
    Piece pieces[2] = {};
    const int64_t pieces_of_row = (steps() + kSteps - 1) / kSteps;
    const int64_t count = (rows + kRows - 1) / kRows * pieces_of_row;
    for (int64_t first = 0; first < kRows; first += 4) decode_four(0, 0, first, pieces[0]);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t strip = i / pieces_of_row * kRows, piece = i % pieces_of_row;
      const int64_t next = i + 1;
      if (piece == 0) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (int64_t step = 0; step < kSteps; ++step) {
        if (next < count) {
          decode_four(next / pieces_of_row * kRows, next % pieces_of_row, 4 * step,
                      pieces[next % 2]);
        }
        const int64_t at = piece * kSteps + step;
        if (at < steps())
          multiply_step<kTokenTiles>(pieces[i % 2].w[step], x + at * 2 * kTokenTiles * kTile);
      }
      if (next % pieces_of_row == 0) write(strip);
    }
  }
};

template <class Weights>
void screen(const uint8_t* w, int64_t rows, int64_t K, const uint16_t* x, int64_t T, float* y,
            int64_t y_stride) {
  configure();
  if (T <= 16) {
    Screen<Weights, 1>{w, rows, K, x, T, y, y_stride}.run();
  } else {
    Screen<Weights, 2>{w, rows, K, x, T, y, y_stride}.run();
  }
  _tile_release();
}

// The tree of sum_lanes in float_rows.h.
TRIT_INLINE float sum_lanes(__m512 v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

TRIT_INLINE __m512 square_added(__m512 sum, __m512 v) {
  return _mm512_add_ps(sum, _mm512_mul_ps(v, v));
}

template <class Weights>
void errors(const uint8_t* w, int64_t rows, int64_t K, float* error, float* norm) {
  for (int64_t r = 0; r < rows; ++r) {
    __m512 ee = _mm512_setzero_ps(), ww = ee;
    for (int64_t k = 0; k < K; k += Weights::kWeights, w += Weights::kBytes) {
      _mm_prefetch(reinterpret_cast<const char*>(w + 4096), _MM_HINT_T0);
      Weights::each(w, [&](int, __m512 v) {
        const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
        const __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16);
        ee = square_added(ee, _mm512_sub_ps(v, _mm512_castsi512_ps(bits)));
        ww = square_added(ww, v);
      });
    }
    error[r] = sum_lanes(ee);
    norm[r] = sum_lanes(ww);
  }
}

template <class Weights>
constexpr ManyScreen kRowsOf = {screen<Weights>, errors<Weights>};

}  // namespace

void add_amx_screens(Table& table) {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool tiles =  // AMX-BF16, which compilers here do not know by name
      __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1) != 0;
  if (!tiles || !__builtin_cpu_supports("avx512bf16")) return;
  table.many_screens[static_cast<int>(HeadForm::kF16)] = kRowsOf<F16>;
  table.many_screens[static_cast<int>(HeadForm::kBf16)] = kRowsOf<Bf16>;
  table.many_screens[static_cast<int>(HeadForm::kQ8_0)] = kRowsOf<Q8_0>;
  table.many_screens[static_cast<int>(HeadForm::kQ6_K)] = kRowsOf<Q6_K>;
  table.many_screens[static_cast<int>(HeadForm::kQ4_0)] = kRowsOf<Q4_0>;
  table.many_screens[static_cast<int>(HeadForm::kQ4_K)] = kRowsOf<Q4_K>;
}

}  // namespace trit::kernels
TRIT_TARGET_END

#else
namespace trit::kernels {
void add_amx_screens(Table&) {}
}  // namespace trit::kernels
#endif
