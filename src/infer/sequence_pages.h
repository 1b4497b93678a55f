#pragma once
// The pages of one sequence, in the order of its positions.

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "infer/page_pool.h"

namespace trit {

class SequencePages {
 public:
  explicit SequencePages(PagePool& pool) : pool_(&pool) {}
  SequencePages(SequencePages&& other) noexcept
      : pool_(other.pool_),
        pages_(std::exchange(other.pages_, {})),
        published_(std::exchange(other.published_, 0)) {}
  SequencePages& operator=(SequencePages&&) = delete;
  ~SequencePages() { truncate(0); }

  std::span<const PageId> pages() const { return pages_; }
  int64_t size() const { return std::ssize(pages_); }

  // Makes room for `positions`; false, with nothing changed, when the pool has not enough pages.
  bool reserve(int64_t positions);
  // Lets go of what lies behind `positions`. They stay writable from there on: the last page must not be one that
  // others may read, so `positions` is a multiple of the page, or nothing of that page was published.
  void truncate(int64_t positions);

  // For an empty table: takes hold of the full pages of the index that begin as `tokens` do. Returns their positions.
  int64_t adopt_full_pages(std::span<const int32_t> tokens);
  // Behind adopted full pages: adds a page with as many more of `tokens` as the index knows. It is the found one
  // itself, or a copy of it where that has other tokens behind those; none when the pool has no page for the
  // copy. Returns the positions that there are then.
  using CopyPage = std::function<void(PageId from, PageId to)>;
  int64_t adopt_part(std::span<const int32_t> tokens, const CopyPage& copy);

  // Puts the pages that `tokens`, all of them computed, fill into the index; where another sequence was first,
  // holds its page instead.
  void publish_full_pages(std::span<const int32_t> tokens);
  // The same for the page that is not full, at the end of a sequence: the table is empty afterwards.
  void publish_and_release(std::span<const int32_t> tokens);

 private:
  PageId last(int64_t count) const {
    return count == 0 ? kNoPage : pages_[static_cast<size_t>(count) - 1];
  }
  PagePool* pool_;
  std::vector<PageId> pages_;
  int64_t published_ = 0;  // pages from the first on that are in the index
};

}  // namespace trit
