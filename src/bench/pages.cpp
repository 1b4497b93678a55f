#include "bench/pages.h"

#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"

namespace trit::bench {

Pages::Pages(size_t bytes) : size_(bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) failure("no memory for a working set of {} bytes", bytes);
  data_ = static_cast<uint8_t*>(memory);
  madvise(memory, bytes, MADV_HUGEPAGE);
}

Pages::~Pages() { munmap(data_, size_); }

void Pages::fill(size_t begin, size_t end) {
  for (size_t i = begin; i + 8 <= end; i += 8) {
    const uint64_t value = i * 0x9E3779B97F4A7C15 | 1;
    std::memcpy(data_ + i, &value, sizeof value);
  }
}

int64_t available_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    int64_t kib = 0;
    if (word == "MemAvailable:" && info >> kib) return kib * 1024;
  }
  return std::numeric_limits<int64_t>::max();
}

}  // namespace trit::bench
