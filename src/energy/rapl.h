#pragma once
// The meters of processors: RAPL counters as Linux shows them below /sys/class/powercap ("Power Capping Framework",
// Documentation/power/powercap in the kernel's sources). A zone is a folder with
//   name                   "package-0", "dram", "psys", ...
//   energy_uj              microjoules; many systems let root alone read it
//   max_energy_range_uj    where energy_uj begins at 0 again
// Zones lie in each other (intel-rapl:0 is a package, intel-rapl:0:1 its memory) and all are listed in the one folder.

#include <memory>
#include <string>

#include "base/file.h"
#include "energy/meter.h"

namespace trit {

// Of all packages, and of the memory that counters of its own are for. Cores and graphics are part of their package and
// not counted again; "psys", the whole board, is left out. Counters may begin at 0 again between two readings, once: the
// fastest do after a minute or more. Null when there is none, or none may be read, and `why` says so in a few words.
std::unique_ptr<EnergyMeter> processor_meter(std::string& why,
                                             const Path& powercap = "/sys/class/powercap");

}  // namespace trit
