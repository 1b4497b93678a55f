#include "bench/read_loops.h"

#include "kernels/cpu/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The same loop for each width of load: a block of 512 bytes of each stream in turn. An empty assembly
// statement takes every value, so that no load can be left out, and no instruction but the load is needed.
#define TRIT_READ_LOOP(name, Register, constraint, LOAD)                                      \
  inline __attribute__((always_inline)) void name##_block(const uint8_t* p, int64_t ahead) {  \
    if (ahead > 0) {                                                                          \
      for (int i = 0; i < 512; i += 64) __builtin_prefetch(p + ahead + i);                    \
    }                                                                                         \
    for (int i = 0; i < 512; i += static_cast<int>(sizeof(Register))) {                       \
      const Register value = LOAD(p + i);                                                     \
      asm volatile("" : : constraint(value));                                                 \
    }                                                                                         \
  }                                                                                           \
  void name(const uint8_t* data, int64_t bytes, int64_t rounds, const ReadPattern& pattern) { \
    const int64_t part = bytes / pattern.streams;                                             \
    for (int64_t round = 0; round < rounds; ++round) {                                        \
      for (int64_t i = 0; i < part; i += 512) {                                               \
        for (int s = 0; s < pattern.streams; ++s)                                             \
          name##_block(data + s * part + i, pattern.ahead);                                   \
      }                                                                                       \
    }                                                                                         \
  }

namespace trit::bench {
namespace {

#if defined(__x86_64__)
#define TRIT_LOAD_ZMM(p) _mm512_load_si512(p)
#define TRIT_LOAD_YMM(p) _mm256_load_si256(reinterpret_cast<const __m256i*>(p))
#define TRIT_LOAD_XMM(p) _mm_load_si128(reinterpret_cast<const __m128i*>(p))
TRIT_TARGET_BEGIN("avx512f")
TRIT_READ_LOOP(read_zmm, __m512i, "v", TRIT_LOAD_ZMM)
TRIT_TARGET_END
TRIT_TARGET_BEGIN("avx")
TRIT_READ_LOOP(read_ymm, __m256i, "x", TRIT_LOAD_YMM)
TRIT_TARGET_END
TRIT_READ_LOOP(read_xmm, __m128i, "x", TRIT_LOAD_XMM)
#elif defined(__aarch64__)
using Bytes16 = uint8_t __attribute__((vector_size(16)));
#define TRIT_LOAD_Q(p) *reinterpret_cast<const Bytes16*>(p)
TRIT_READ_LOOP(read_q, Bytes16, "w", TRIT_LOAD_Q)
#else
#define TRIT_LOAD_WORD(p) *reinterpret_cast<const uint64_t*>(p)
TRIT_READ_LOOP(read_word, uint64_t, "r", TRIT_LOAD_WORD)
#endif

}  // namespace

ReadLoop best_read_loop() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return read_zmm;
  if (__builtin_cpu_supports("avx")) return read_ymm;
  return read_xmm;
#elif defined(__aarch64__)
  return read_q;
#else
  return read_word;
#endif
}

}  // namespace trit::bench
