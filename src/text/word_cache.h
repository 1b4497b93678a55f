#pragma once
// The last words of this thread and their tokens. Most of a text is a few thousand words.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/byte_hash.h"

namespace trit {

// Direct-mapped; an entry fills one cache line. Vocabularies share it: `owner` tells them apart and is
// never 0. Not thread-safe.
class WordCache {
 public:
  // Null when the word is not there.
  struct Entry;
  const Entry* find(uint64_t owner, std::string_view word) const;
  // Does nothing when the word or its list of tokens is long.
  void store(uint64_t owner, std::string_view word, std::span<const int32_t> ids);

  struct alignas(64) Entry {
    uint64_t owner = 0;
    std::array<int32_t, 7> id{};
    uint8_t count = 0, bytes = 0;
    std::array<char, 26> word{};
    std::span<const int32_t> ids() const { return {id.data(), count}; }
  };

 private:
  static constexpr size_t kEntries = 1 << 15;  // 2 MiB; common words stay in a core's own cache
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

inline const WordCache::Entry* WordCache::find(uint64_t owner, std::string_view word) const {
  if (word.size() > sizeof(Entry::word)) return nullptr;
  const Entry& entry = entries_[byte_hash(word, owner) % kEntries];
  const bool same = entry.owner == owner && entry.bytes == word.size() &&
                    std::memcmp(entry.word.data(), word.data(), word.size()) == 0;
  return same ? &entry : nullptr;
}

inline void WordCache::store(uint64_t owner, std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > sizeof(Entry::word) || ids.size() > Entry().id.size()) return;
  Entry& entry = entries_[byte_hash(word, owner) % kEntries];
  entry.owner = owner;
  entry.count = static_cast<uint8_t>(ids.size());
  entry.bytes = static_cast<uint8_t>(word.size());
  std::copy(ids.begin(), ids.end(), entry.id.begin());
  std::copy(word.begin(), word.end(), entry.word.begin());
}

}  // namespace trit
