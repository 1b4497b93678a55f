#pragma once

#include <cstdint>

namespace trit::bench {

// Bytes that can be taken without swapping, as the system estimates it.
int64_t available_memory();
// Bytes of this process that are in memory.
int64_t resident_memory();

}  // namespace trit::bench
