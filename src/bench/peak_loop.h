#pragma once
// The form of all loops of peaks_*.cpp. An instruction waits some cycles for its result, so twelve of them
// run side by side, on accumulators that are named: g++ 12 keeps an array in memory.

// One round: `work` is the body of `Register step(Register sum, Register a, Register b)`. Operands and
// sums come from outside the compiler's sight and the results go there: it can drop nothing, nor merge what
// it would know to be equal.
#define TRIT_PEAK_LOOP(name, Register, constraint, work)                                           \
  inline __attribute__((always_inline))                                                            \
  Register name##_step(Register sum, [[maybe_unused]] Register a, [[maybe_unused]] Register b) {   \
    work                                                                                           \
  }                                                                                                \
  void name(int64_t rounds) {                                                                      \
    Register a{}, b{}, s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{}, s10{}, s11{};   \
    asm volatile(""                                                                                \
                 : "+" constraint(a), "+" constraint(b), "+" constraint(s0), "+" constraint(s1),   \
                   "+" constraint(s2));                                                            \
    asm volatile(""                                                                                \
                 : "+" constraint(s3), "+" constraint(s4), "+" constraint(s5), "+" constraint(s6), \
                   "+" constraint(s7));                                                            \
    asm volatile(""                                                                                \
                 : "+" constraint(s8), "+" constraint(s9), "+" constraint(s10),                    \
                   "+" constraint(s11));                                                           \
    for (int64_t round = 0; round < rounds; ++round) {                                             \
      s0 = name##_step(s0, a, b);                                                                  \
      s1 = name##_step(s1, a, b);                                                                  \
      s2 = name##_step(s2, a, b);                                                                  \
      s3 = name##_step(s3, a, b);                                                                  \
      s4 = name##_step(s4, a, b);                                                                  \
      s5 = name##_step(s5, a, b);                                                                  \
      s6 = name##_step(s6, a, b);                                                                  \
      s7 = name##_step(s7, a, b);                                                                  \
      s8 = name##_step(s8, a, b);                                                                  \
      s9 = name##_step(s9, a, b);                                                                  \
      s10 = name##_step(s10, a, b);                                                                \
      s11 = name##_step(s11, a, b);                                                                \
    }                                                                                              \
    asm volatile("" : : constraint(s0), constraint(s1), constraint(s2), constraint(s3));           \
    asm volatile("" : : constraint(s4), constraint(s5), constraint(s6), constraint(s7));           \
    asm volatile("" : : constraint(s8), constraint(s9), constraint(s10), constraint(s11));         \
  }

namespace trit::bench {
inline constexpr double kChains = 12;  // steps of a round
}
