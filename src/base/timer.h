#pragma once
// Wall time and the process's peak memory.

#include <chrono>
#include <cstddef>

namespace trit {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void restart() { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Largest resident set of this process so far, in bytes.
size_t peak_memory();

}  // namespace trit
