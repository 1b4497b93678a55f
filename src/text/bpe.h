#pragma once
// Byte-pair merges (Sennrich et al., arXiv 1508.07909): a table of ranked pairs and its application.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trit {

struct Merge {
  int32_t rank;   // smaller merges first
  int32_t token;  // what the pair becomes
};

// (left, right) -> Merge: a hash table with open addressing, filled once, then only read.
class MergeTable {
 public:
  explicit MergeTable(size_t count);  // room for `count` merges
  // False, and nothing is added, when the pair is there already.
  bool add(int32_t left, int32_t right, Merge merge);
  // Null when the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  size_t slot_of(uint64_t key) const;
  std::vector<Slot> slots_;
};

// Merges one word after the other; keeps its memory between words. One per thread.
class WordMerger {
 public:
  explicit WordMerger(const MergeTable& table) : table_(table) {}
  // Merges the pair of lowest rank, the leftmost first, until none is left. O(n log n) for n symbols;
  // the few of an ordinary word are looked through again and again instead, which is faster.
  void merge(std::vector<int32_t>& symbols);

 private:
  struct Candidate {
    int32_t rank, position, left, right, token;
    bool operator<(const Candidate& other) const {  // the heap's top is the smallest
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  static constexpr size_t kShort = 32;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols);
  void consider(const std::vector<int32_t>& symbols, int32_t left, int32_t right);
  void join(std::vector<int32_t>& symbols, const Candidate& pair);

  const MergeTable& table_;
  std::vector<int32_t> previous_, next_;  // neighbours by position; -1 at the ends
  std::vector<Candidate> heap_;
};

}  // namespace trit
