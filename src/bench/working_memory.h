#pragma once
// Memory that kernels read from end to end again and again while they are measured.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/huge_buffer.h"

namespace trit::bench {

// One thread's part: equal units (tiles, rows, pages) that lie side by side and are taken in turn.
class Ring {
 public:
  Ring(const uint8_t* data, int64_t unit_bytes, int64_t units)
      : data_(data), unit_bytes_(unit_bytes), units_(units) {}
  int64_t units() const { return units_; }
  int64_t bytes() const { return units_ * unit_bytes_; }
  // `count` <= units() neighbouring units: those behind the last ones taken, or the first ones where the end
  // is nearer than that.
  const uint8_t* next(int64_t count);

 private:
  const uint8_t* data_;
  int64_t unit_bytes_, units_, at_ = 0;
};

class WorkingMemory {
 public:
  // At least `bytes`, as much for each of the threads, which put it where they run.
  WorkingMemory(int threads, int64_t bytes);
  int threads() const { return threads_; }
  // Fills all of it with copies of make()'s bytes, unless it holds those of that name already.
  void fill(const std::string& name, const std::function<std::vector<uint8_t>()>& make);
  // A thread's part: of at most `most` bytes, but at least one unit. It begins where a copy of the bytes does.
  Ring ring(int thread, int64_t unit_bytes, int64_t most) const;

  static constexpr int64_t kLeastPart = 4 << 20;  // bytes, the largest unit

 private:
  int threads_;
  int64_t part_;
  HugeBuffer memory_;
  std::string name_;
};

}  // namespace trit::bench
