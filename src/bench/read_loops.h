#pragma once
// Loops that read memory and do nothing else, with the widest loads of the machine.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trit::bench {

// How a working set is walked.
struct ReadPattern {
  std::string_view name;
  int streams;    // places that are read side by side, in turn
  int64_t ahead;  // bytes that a prefetch runs ahead of each; 0: the hardware's alone
};

// Reads `bytes` bytes, `rounds` times. Needs a multiple of 512 times the streams, on a cache line.
using ReadLoop = void (*)(const uint8_t* data, int64_t bytes, int64_t rounds,
                          const ReadPattern& pattern);

// The loop with the widest loads that this machine has.
ReadLoop best_read_loop();

}  // namespace trit::bench
