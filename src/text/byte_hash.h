#pragma once
// A quick hash of short strings, for tables in memory alone.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace trit {

inline uint64_t byte_hash(std::string_view bytes, uint64_t seed = 0) {
  uint64_t hash = seed ^ bytes.size();
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t part = 0;
    std::memcpy(&part, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace trit
