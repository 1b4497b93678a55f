#include "base/timer.h"

#include <sys/resource.h>

namespace trit {

size_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;  // Linux counts kibibytes
}

}  // namespace trit
