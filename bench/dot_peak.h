#pragma once
// What an instruction set's dot product of bytes does at most: a loop over registers alone.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {

#if defined(__x86_64__)

// Twelve sums at a time hide the instruction's latency.
#define TRIT_DOT(sum, size) "vpdpbusd %%" size "14, %%" size "15, %%" size #sum "\n"
#define TRIT_DOT_VEX(sum) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #sum "\n"
#define TRIT_MADD(sum, product)                                                          \
  "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #product "\nvpaddw %%ymm" #product ", %%ymm" #sum \
  ", %%ymm" #sum "\n"
#define TRIT_CLOBBERED                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12"
#define TRIT_TWELVE(dot) \
  dot(0) dot(1) dot(2) dot(3) dot(4) dot(5) dot(6) dot(7) dot(8) dot(9) dot(10) dot(11)
#define TRIT_DOT_ZMM(sum) TRIT_DOT(sum, "zmm")

inline void dot_loop_avx512(int64_t rounds) {
  for (int64_t i = 0; i < rounds; ++i) asm volatile(TRIT_TWELVE(TRIT_DOT_ZMM)::: TRIT_CLOBBERED);
}
inline void dot_loop_avxvnni(int64_t rounds) {
  for (int64_t i = 0; i < rounds; ++i) asm volatile(TRIT_TWELVE(TRIT_DOT_VEX)::: TRIT_CLOBBERED);
}
// AVX2 has no such instruction: vpmaddubsw and the addition of its 16-bit sums.
inline void dot_loop_avx2(int64_t rounds) {
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile(TRIT_MADD(0, 6) TRIT_MADD(1, 7) TRIT_MADD(2, 8) TRIT_MADD(3, 9) TRIT_MADD(4, 10)
                     TRIT_MADD(5, 11)::
                         : TRIT_CLOBBERED);
  }
}

struct DotLoop {
  void (*run)(int64_t rounds);
  int64_t macs;  // of a round
};

inline DotLoop dot_loop(kernels::Isa isa) {
  switch (isa) {
    case kernels::Isa::kAvx2:
      return {dot_loop_avx2, 6 * 32};
    case kernels::Isa::kAvxVnni:
      return {dot_loop_avxvnni, 12 * 32};
    case kernels::Isa::kAvx512Vnni:
    case kernels::Isa::kAvx512Vbmi:
    case kernels::Isa::kAmx:
      return {dot_loop_avx512, 12 * 64};
    default:
      return {nullptr, 0};
  }
}

#else

struct DotLoop {
  void (*run)(int64_t rounds);
  int64_t macs;
};
inline DotLoop dot_loop(kernels::Isa) { return {nullptr, 0}; }

#endif

// Multiply-adds a second with `threads` threads: the best of nine tries of 2 ms; 0 when there is no loop for it.
inline double dot_peak(kernels::Isa isa, int threads) {
  static std::map<std::pair<kernels::Isa, int>, double> measured;
  const DotLoop loop = dot_loop(isa);
  if (loop.run == nullptr) return 0;
  double& best = measured[{isa, threads}];
  if (best > 0) return best;
  set_thread_count(threads);
  for (int i = 0; i < 9; ++i) {
    constexpr int64_t kRounds = 1 << 20;
    const auto begin = std::chrono::steady_clock::now();
    parallel_for(threads, [&](int64_t) { loop.run(kRounds); });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(threads * loop.macs * kRounds) / time.count());
  }
  return best;
}

}  // namespace trit
