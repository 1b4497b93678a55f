#pragma once
// Loops of one instruction with all operands in registers: the most that the machine computes.

#include <cstdint>
#include <span>

#include "bench/machine.h"

namespace trit::bench {

struct Peak {
  Measure measure;
  const char* name;  // of the instruction
  const char*
      needs;  // the instruction set: as kernels::Isa spells it where kernels of that set rest on it
  double work;     // multiply-adds, or bytes looked up, of one round
  bool (*runs)();  // whether this machine has it
  void (*loop)(int64_t rounds);
};

// Those of this architecture, the widest first.
std::span<const Peak> peaks();

}  // namespace trit::bench
