#pragma once
// Who holds which page of a paged KV cache, and which tokens a page stands for.
//
// A page keeps the keys and values of a fixed number of positions, in every layer. Holds are counted: sequences
// that begin alike hold the same pages. A page that nobody holds keeps what it has for as long as its room is not
// needed, and whoever comes with the same tokens finds it in the index; the one that was let go first is taken
// first. Only numbers are kept here: the memory is the backend's.
//
// The index is exact. What a page has depends on all tokens up to its end, so its key is the page before it and
// its own tokens: no hash, and nothing that two texts could share by accident. A page in the index outlives none
// of those before it, because sequences take hold from front to back and let go from back to front.

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <span>
#include <vector>

namespace trit {

using PageId = int32_t;
inline constexpr PageId kNoPage = -1;

class PagePool {
 public:
  // Pages 0 to `pages` - 1 of `page_positions` positions each. Nothing is allocated for a page before it is taken.
  PagePool(int64_t pages, int64_t page_positions);

  int64_t pages() const { return pages_; }
  int64_t page_positions() const { return page_positions_; }
  int64_t pages_for(int64_t positions) const {
    return (positions + page_positions_ - 1) / page_positions_;
  }
  // Pages that take() can give: never used, let go, or in the index and held by nobody.
  int64_t available() const;
  int64_t used() const { return static_cast<int64_t>(records_.size()); }  // that were ever taken
  int64_t cached() const {
    return static_cast<int64_t>(unheld_.size());
  }  // held by nobody, findable

  // A page that the caller holds and nobody else has, of the lowest number that there is; kNoPage when all are
  // held.
  PageId take();
  void hold(PageId page);
  void release(PageId page);
  int64_t holds(PageId page) const { return record(page).holds; }

  // What a page in the index has in common with a text.
  struct Match {
    PageId page = kNoPage;
    int64_t tokens = 0;  // from its first position on
  };
  // The page behind `parent` (kNoPage: at the beginning) that shares most of `tokens` from the first on.
  Match find(PageId parent, std::span<const int32_t> tokens) const;

  // `page`, which the caller holds and which is not in the index, has `tokens` (at most page_positions) behind
  // `parent`, a full page of the index that the caller holds too. Returns the page that has them from now on: when
  // one had them already, the caller's hold has moved to it and `page` is let go.
  PageId publish(PageId parent, std::span<const int32_t> tokens, PageId page);
  // How many tokens the index has of a page; 0: it is not there.
  int64_t tokens_of(PageId page) const;
  // Takes a page that is not full out of the index for the caller to hold and go on writing; false when it
  // is full or held.
  bool claim(PageId page);
  // Empties the index.
  void forget();

 private:
  struct View {
    PageId parent;
    std::span<const int32_t> tokens;
  };
  struct Key {
    PageId parent;
    std::vector<int32_t> tokens;
    operator View() const { return {parent, tokens}; }
  };
  struct Less {
    using is_transparent = void;
    bool operator()(const View& a, const View& b) const;
  };
  using Index = std::map<Key, PageId, Less>;
  struct Record {
    int64_t holds = 0;
    uint64_t let_go = 0;  // when, of a page in unheld_
    std::optional<Index::iterator> place;
  };
  Record& record(PageId page) { return records_[static_cast<size_t>(page)]; }
  const Record& record(PageId page) const { return records_[static_cast<size_t>(page)]; }
  void unpublish(PageId page);

  int64_t pages_, page_positions_;
  std::vector<Record> records_;
  Index index_;
  std::map<uint64_t, PageId> unheld_;  // in the index, by the time they were let go
  std::priority_queue<PageId, std::vector<PageId>, std::greater<>> free_;
  uint64_t clock_ = 0;
};

}  // namespace trit
