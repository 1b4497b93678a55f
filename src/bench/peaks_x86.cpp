#include "bench/peaks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/peak_loop.h"
#include "kernels/cpu/target.h"

namespace trit::bench {
namespace {

TRIT_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")
TRIT_PEAK_LOOP(dot_zmm, __m512i, "v", return _mm512_dpbusd_epi32(sum, a, b);)
TRIT_PEAK_LOOP(fma_zmm, __m512, "v", return _mm512_fmadd_ps(a, b, sum);)
TRIT_PEAK_LOOP(permi2b_zmm, __m512i, "v", return _mm512_permutex2var_epi8(a, sum, b);)
TRIT_PEAK_LOOP(permb_zmm, __m512i, "v", return _mm512_permutexvar_epi8(sum, a);)
TRIT_PEAK_LOOP(shuffle_zmm, __m512i, "v", return _mm512_shuffle_epi8(a, sum);)
// Unseen by the compiler, b is a new value at each step, so every product must be taken.
TRIT_PEAK_LOOP(maddubs_zmm, __m512i, "v",
               asm volatile(""
                            : "+v"(b));
               return _mm512_add_epi16(sum, _mm512_maddubs_epi16(a, b));)
TRIT_TARGET_END

TRIT_TARGET_BEGIN("avx2,fma")
TRIT_PEAK_LOOP(fma_ymm, __m256, "x", return _mm256_fmadd_ps(a, b, sum);)
TRIT_PEAK_LOOP(shuffle_ymm, __m256i, "x", return _mm256_shuffle_epi8(a, sum);)
TRIT_PEAK_LOOP(maddubs_ymm, __m256i, "x",
               asm volatile(""
                            : "+x"(b));
               return _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));)
TRIT_TARGET_END

TRIT_TARGET_BEGIN("avx2,avxvnni")
TRIT_PEAK_LOOP(dot_ymm, __m256i, "x", return _mm256_dpbusd_avx_epi32(sum, a, b);)
TRIT_TARGET_END

// Tiles of 16 rows of 64 bytes; four of them gather sums.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
};

TRIT_TARGET_BEGIN("amx-tile,amx-int8")
void dot_tiles(int64_t rounds) {
  const TileShapes shapes;
  // g++ 12's intrinsic names the first eight bytes alone as read; without this the others are never written.
  asm volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 5);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(3, 4, 5);
  }
  _tile_release();
}
TRIT_TARGET_END

struct Cpuid {
  unsigned a = 0, b = 0, c = 0, d = 0;
};
Cpuid features(unsigned subleaf) {
  Cpuid r;
  __get_cpuid_count(7, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_vbmi() { return has_avx512() && __builtin_cpu_supports("avx512vbmi"); }
bool has_avx_vnni() { return has_avx2() && (features(1).a >> 4 & 1) != 0; }
// Tiles are large, so Linux gives their state only to who asks for it.
bool has_amx() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  const unsigned d = features(0).d;
  return (d >> 24 & 1) != 0 && (d >> 25 & 1) != 0 &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

using enum Measure;
constexpr Peak kPeaks[] = {
    {kInt8, "tdpbusd", "amx-int8", 4 * 16 * 16 * 64, has_amx, dot_tiles},
    {kInt8, "vpdpbusd zmm", "avx512vnni", kChains * 64, has_vnni, dot_zmm},
    {kInt8, "vpdpbusd ymm", "avxvnni", kChains * 32, has_avx_vnni, dot_ymm},
    {kInt8, "vpmaddubsw + vpaddw zmm", "avx512bw", kChains * 64, has_avx512, maddubs_zmm},
    {kInt8, "vpmaddubsw + vpaddw ymm", "avx2", kChains * 32, has_avx2, maddubs_ymm},
    {kFloat32, "vfmadd231ps zmm", "avx512f", kChains * 16, has_avx512, fma_zmm},
    {kFloat32, "vfmadd231ps ymm", "avx2", kChains * 8, has_avx2, fma_ymm},
    {kLookUp, "vpermi2b zmm (128 entries)", "avx512vbmi", kChains * 64, has_vbmi, permi2b_zmm},
    {kLookUp, "vpermb zmm (64 entries)", "avx512vbmi", kChains * 64, has_vbmi, permb_zmm},
    {kLookUp, "vpshufb zmm (16 entries)", "avx512bw", kChains * 64, has_avx512, shuffle_zmm},
    {kLookUp, "vpshufb ymm (16 entries)", "avx2", kChains * 32, has_avx2, shuffle_ymm},
};

}  // namespace

std::span<const Peak> peaks() { return kPeaks; }

}  // namespace trit::bench
#endif
