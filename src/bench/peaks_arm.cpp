#include "bench/peaks.h"

#if defined(__aarch64__)
#include <sys/auxv.h>

#include "bench/peak_loop.h"

namespace trit::bench {
namespace {

// Written in assembly: the assembler takes every instruction whatever the compiler was told, and NEON
// itself is part of the architecture.
using Bytes16 = uint8_t __attribute__((vector_size(16)));
#define TRIT_ARM_STEP(extension, instruction)                                                 \
  asm volatile(".arch_extension " extension "\n\t" instruction : "+w"(sum) : "w"(a), "w"(b)); \
  return sum;

TRIT_PEAK_LOOP(smmla, Bytes16, "w", TRIT_ARM_STEP("i8mm", "smmla %0.4s, %1.16b, %2.16b"))
TRIT_PEAK_LOOP(sdot, Bytes16, "w", TRIT_ARM_STEP("dotprod", "sdot %0.4s, %1.16b, %2.16b"))
TRIT_PEAK_LOOP(fmla, Bytes16, "w", TRIT_ARM_STEP("simd", "fmla %0.4s, %1.4s, %2.4s"))
TRIT_PEAK_LOOP(tbl, Bytes16, "w", TRIT_ARM_STEP("simd", "tbl %0.16b, {%1.16b}, %0.16b"))

bool has_neon() { return true; }
bool has_dotprod() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }  // HWCAP_ASIMDDP
bool has_i8mm() { return (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }    // HWCAP2_I8MM

using enum Measure;
constexpr Peak kPeaks[] = {
    {kInt8, "smmla", "i8mm", kChains * 32, has_i8mm, smmla},
    {kInt8, "sdot", "dotprod", kChains * 16, has_dotprod, sdot},
    {kFloat32, "fmla", "neon", kChains * 4, has_neon, fmla},
    {kLookUp, "tbl (16 entries)", "neon", kChains * 16, has_neon, tbl},
};

}  // namespace

std::span<const Peak> peaks() { return kPeaks; }

}  // namespace trit::bench
#elif !defined(__x86_64__)
namespace trit::bench {
std::span<const Peak> peaks() { return {}; }
}  // namespace trit::bench
#endif
