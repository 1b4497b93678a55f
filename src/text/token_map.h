#pragma once
// String -> token id: a hash table with open addressing, filled once, then only read.

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_hash.h"

namespace trit {

class TokenMap {
 public:
  // The strings of the ids, which must outlive the map; room for them all.
  explicit TokenMap(const std::vector<std::string>& strings)
      : strings_(strings), slots_(std::bit_ceil(2 * strings.size() + 2), {0, -1}) {}
  // The id that has the string of `id` already, or `id`, which is added then.
  int32_t add(int32_t id) {
    const std::string_view string = strings_[static_cast<size_t>(id)];
    Slot& slot = slots_[place(string)];
    if (slot.id < 0) slot = {static_cast<uint32_t>(byte_hash(string) >> 32), id};
    return slot.id;
  }
  int32_t find(std::string_view string) const { return slots_[place(string)].id; }  // -1: none

 private:
  struct Slot {
    uint32_t hash;
    int32_t id;
  };
  size_t place(std::string_view string) const {
    const uint64_t hash = byte_hash(string);
    size_t i = hash & (slots_.size() - 1);
    while (slots_[i].id >= 0 &&
           (slots_[i].hash != hash >> 32 || strings_[static_cast<size_t>(slots_[i].id)] != string))
      i = (i + 1) & (slots_.size() - 1);
    return i;
  }

  const std::vector<std::string>& strings_;
  std::vector<Slot> slots_;
};

}  // namespace trit
