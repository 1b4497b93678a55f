#include "bench/working_memory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "bench/together.h"

namespace trit::bench {

const uint8_t* Ring::next(int64_t count) {
  if (at_ + count > units_) at_ = 0;
  const uint8_t* data = data_ + at_ * unit_bytes_;
  at_ += count;
  return data;
}

WorkingMemory::WorkingMemory(int threads, int64_t bytes)
    : threads_(threads),
      part_(std::max(bytes / threads, kLeastPart) / 4096 * 4096),
      memory_(static_cast<size_t>(part_ * threads)) {}

void WorkingMemory::fill(const std::string& name,
                         const std::function<std::vector<uint8_t>()>& make) {
  if (name == name_) return;
  const std::vector<uint8_t> bytes = make();
  const auto length = static_cast<int64_t>(bytes.size());
  run_together(threads_, [&](int thread) {
    uint8_t* part = memory_.data() + thread * part_;
    for (int64_t at = 0; at < part_; at += length)
      std::memcpy(part + at, bytes.data(), static_cast<size_t>(std::min(length, part_ - at)));
  });
  name_ = name;
}

Ring WorkingMemory::ring(int thread, int64_t unit_bytes, int64_t most) const {
  TRIT_CHECK(thread < threads_ && unit_bytes <= part_);
  const int64_t units = std::max<int64_t>(1, std::min(most, part_) / unit_bytes);
  return {memory_.data() + thread * part_, unit_bytes, units};
}

}  // namespace trit::bench
