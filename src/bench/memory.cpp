#include "bench/memory.h"

#include <unistd.h>

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

int64_t resident_memory() {
  std::ifstream sizes("/proc/self/statm");
  int64_t all = 0, resident = 0;
  sizes >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace trit::bench
