#include "kernels/kernels.h"

#include <cstdlib>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/error.h"
#include "kernels/cpu/target.h"

namespace trit::kernels {
namespace {

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512Vnni, Isa::kAvx512Vbmi,
                        Isa::kAmx,    Isa::kNeon, Isa::kDotprod, Isa::kI8mm};

#if defined(__x86_64__)
// Features that __builtin_cpu_supports of g++ 12 or clang 14 does not know.
uint32_t cpuid_7_1_eax() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 ? eax : 0;
}
uint32_t cpuid_7_0_edx() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 ? edx : 0;
}

// AMX works once the system has granted this process its large registers.
bool amx_granted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}
#endif

#if defined(__x86_64__)
bool machine_runs(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvxVnni:
      return machine_runs(Isa::kAvx2) && (cpuid_7_1_eax() >> 4 & 1) != 0;
    case Isa::kAvx512Vnni:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
    case Isa::kAvx512Vbmi:
      return machine_runs(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512vbmi") &&
             __builtin_cpu_supports("gfni");
    case Isa::kAmx:  // AMX-TILE and AMX-INT8
      return machine_runs(Isa::kAvx512Vbmi) && (cpuid_7_0_edx() >> 24 & 3) == 3 && amx_granted();
    default:
      return false;
  }
}
#elif defined(__aarch64__)
bool machine_runs(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
    case Isa::kNeon:
      return true;
    case Isa::kDotprod:
      return TRIT_ARM_EXTENSIONS != 0 && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
    case Isa::kI8mm:
      return machine_runs(Isa::kDotprod) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
    default:
      return false;
  }
}
#else
bool machine_runs(Isa isa) { return isa == Isa::kScalar; }
#endif

Isa choose() {
  const char* forced = std::getenv("TRIT_ISA");
  if (forced == nullptr || *forced == '\0') return available().back();
  std::string names;
  for (const Isa isa : available()) {
    if (to_string(isa) == forced) return isa;
    names += (names.empty() ? "" : ", ") + std::string(to_string(isa));
  }
  bad_input("TRIT_ISA={}: this machine runs {}", printable(forced), names);
}

}  // namespace

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Vbmi:
      return "avx512vbmi";
    case Isa::kAmx:
      return "amx";
    case Isa::kNeon:
      return "neon";
    case Isa::kDotprod:
      return "dotprod";
    case Isa::kI8mm:
      return "i8mm";
  }
  return "?";
}

std::span<const Isa> available() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> found;
    for (const Isa isa : kAll) {
      if (machine_runs(isa)) found.push_back(isa);
    }
    return found;
  }();
  return isas;
}

const Table& table(Isa isa) {
  static const Table tables[] = {scalar_table(),     avx2_table(),       avxvnni_table(),
                                 avx512vnni_table(), avx512vbmi_table(), amx_table(),
                                 neon_table(),       dotprod_table(),    i8mm_table()};
  return tables[static_cast<int>(isa)];
}

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

const Table& active() { return table(active_isa()); }

}  // namespace trit::kernels
