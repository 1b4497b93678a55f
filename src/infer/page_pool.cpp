#include "infer/page_pool.h"

#include <algorithm>

#include "base/error.h"

namespace trit {

bool PagePool::Less::operator()(const View& a, const View& b) const {
  if (a.parent != b.parent) return a.parent < b.parent;
  return std::lexicographical_compare(a.tokens.begin(), a.tokens.end(), b.tokens.begin(),
                                      b.tokens.end());
}

PagePool::PagePool(int64_t pages, int64_t page_positions)
    : pages_(pages), page_positions_(page_positions) {
  TRIT_CHECK(pages >= 1 && pages <= INT32_MAX && page_positions >= 1);
}

int64_t PagePool::available() const {
  return pages_ - used() + static_cast<int64_t>(free_.size()) + cached();
}

PageId PagePool::take() {
  PageId page = kNoPage;
  if (!free_.empty()) {
    page = free_.top();
    free_.pop();
  } else if (used() < pages_) {
    page = static_cast<PageId>(used());
    records_.emplace_back();
  } else if (!unheld_.empty()) {
    page = unheld_.begin()->second;
    unheld_.erase(unheld_.begin());
    unpublish(page);
  } else {
    return kNoPage;
  }
  record(page).holds = 1;
  return page;
}

void PagePool::hold(PageId page) {
  Record& r = record(page);
  TRIT_CHECK(r.holds > 0 || r.place);
  if (r.holds++ == 0) unheld_.erase(r.let_go);
}

void PagePool::release(PageId page) {
  Record& r = record(page);
  TRIT_CHECK(r.holds > 0);
  if (--r.holds > 0) return;
  if (r.place) {
    r.let_go = clock_++;
    unheld_.emplace(r.let_go, page);
  } else {
    free_.push(page);
  }
}

int64_t PagePool::tokens_of(PageId page) const {
  return record(page).place ? std::ssize((*record(page).place)->first.tokens) : 0;
}

void PagePool::unpublish(PageId page) {
  index_.erase(*record(page).place);
  record(page).place.reset();
}

PagePool::Match PagePool::find(PageId parent, std::span<const int32_t> tokens) const {
  // The tokens in common are most with a neighbour in the order of the index.
  Match best;
  const auto consider = [&](Index::const_iterator entry) {
    if (entry->first.parent != parent) return;
    const auto& theirs = entry->first.tokens;
    const auto differs =
        std::mismatch(tokens.begin(), tokens.end(), theirs.begin(), theirs.end()).first;
    const int64_t common = differs - tokens.begin();
    if (common > best.tokens) best = {entry->second, common};
  };
  const auto next = index_.lower_bound(View{parent, tokens});
  // First the one before: all of it may be in common, and then it can be claimed.
  if (next != index_.begin()) consider(std::prev(next));
  if (next != index_.end()) consider(next);
  return best;
}

PageId PagePool::publish(PageId parent, std::span<const int32_t> tokens, PageId page) {
  const int64_t count = std::ssize(tokens);
  TRIT_CHECK(count >= 1 && count <= page_positions_);
  TRIT_CHECK(record(page).holds > 0 && !record(page).place);
  const Match match = find(parent, tokens);
  if (match.tokens == count) {
    hold(match.page);
    release(page);
    return match.page;
  }
  // A page that has only a beginning of these tokens is of no more use.
  if (match.page != kNoPage && match.tokens == tokens_of(match.page) && claim(match.page))
    release(match.page);
  record(page).place = index_.emplace(Key{parent, {tokens.begin(), tokens.end()}}, page).first;
  return page;
}

bool PagePool::claim(PageId page) {
  if (record(page).holds > 0 || tokens_of(page) == page_positions_) return false;
  hold(page);
  unpublish(page);
  return true;
}

void PagePool::forget() {
  for (const auto& [time, page] : unheld_) free_.push(page);
  unheld_.clear();
  for (const auto& [key, page] : index_) record(page).place.reset();
  index_.clear();
}

}  // namespace trit
