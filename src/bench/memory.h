#pragma once

#include <cstdint>

namespace trit::bench {

// Bytes that can be taken without swapping, as the system estimates it.
int64_t available_memory();

}  // namespace trit::bench
