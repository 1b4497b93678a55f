#include "bench/memory.h"

#include <fstream>
#include <limits>
#include <string>

namespace trit::bench {

int64_t available_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    int64_t kib = 0;
    if (word == "MemAvailable:" && info >> kib) return kib * 1024;
  }
  return std::numeric_limits<int64_t>::max();
}

}  // namespace trit::bench
