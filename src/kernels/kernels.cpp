#include "kernels/kernels.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"

namespace trit::kernels {
namespace {

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512Vnni};

bool machine_runs(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2");
    case Isa::kAvx512Vnni:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return isa == Isa::kScalar;
#endif
}

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
    case Isa::kAvx512Vnni:
      return "avx512vnni";
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
  static const Table tables[] = {scalar_table(), avx2_table(), avx512vnni_table()};
  return tables[static_cast<int>(isa)];
}

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

const Table& active() { return table(active_isa()); }

}  // namespace trit::kernels
