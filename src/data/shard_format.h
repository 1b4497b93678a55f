#pragma once
// The bytes of a dataset that building and opening must agree on.

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <string>

#include "data/shards.h"

namespace trit {

static_assert(std::endian::native == std::endian::little, "shards are mapped as they are");

// Do not change: these values are in files.
struct ShardHeader {
  char magic[8] = {'T', 'R', 'I', 'T', 'T', 'O', 'K', '1'};
  uint32_t version = 1;
  uint32_t token_bytes = 0;
  uint64_t count = 0;
  uint8_t zero[40] = {};
};
static_assert(sizeof(ShardHeader) == 64);

inline constexpr const char* kDatasetFormat = "trit-dataset";
inline constexpr int64_t kDatasetVersion = 1;
inline constexpr int32_t kMaxVocabOf16Bits = 1 << 16;

inline std::string shard_name(Split split, size_t index) {
  return fmt::format("{}-{:05}.bin", split_name(split), index);
}

}  // namespace trit
