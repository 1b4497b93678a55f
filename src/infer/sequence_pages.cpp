#include "infer/sequence_pages.h"

#include <algorithm>

#include "base/error.h"

namespace trit {

bool SequencePages::reserve(int64_t positions) {
  const int64_t missing = pool_->pages_for(positions) - size();
  if (missing > pool_->available()) return false;
  for (int64_t i = 0; i < missing; ++i) pages_.push_back(pool_->take());
  return true;
}

void SequencePages::truncate(int64_t positions) {
  TRIT_CHECK(positions % pool_->page_positions() == 0 ||
             published_ <= positions / pool_->page_positions());
  while (size() > pool_->pages_for(positions)) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
  published_ = std::min(published_, size());
}

int64_t SequencePages::adopt_full_pages(std::span<const int32_t> tokens) {
  TRIT_CHECK(pages_.empty());
  const auto page = static_cast<size_t>(pool_->page_positions());
  for (; tokens.size() >= page; tokens = tokens.subspan(page)) {
    const PagePool::Match match = pool_->find(last(size()), tokens.first(page));
    if (match.tokens < pool_->page_positions()) break;
    pool_->hold(match.page);
    pages_.push_back(match.page);
  }
  published_ = size();
  return size() * pool_->page_positions();
}

int64_t SequencePages::adopt_part(std::span<const int32_t> tokens, const CopyPage& copy) {
  TRIT_CHECK(published_ == size());
  const int64_t positions = size() * pool_->page_positions();
  const auto rest = tokens.subspan(static_cast<size_t>(positions));
  const PagePool::Match match = pool_->find(last(size()), rest);
  if (match.tokens == 0) return positions;
  if (match.tokens == pool_->tokens_of(match.page) && pool_->claim(match.page)) {
    pages_.push_back(match.page);
    return positions + match.tokens;
  }
  pool_->hold(match.page);  // so that the copy does not take its place
  const PageId page = pool_->take();
  if (page != kNoPage) {
    copy(match.page, page);
    pages_.push_back(page);
  }
  pool_->release(match.page);
  return page == kNoPage ? positions : positions + match.tokens;
}

void SequencePages::publish_full_pages(std::span<const int32_t> tokens) {
  const int64_t page = pool_->page_positions();
  for (; (published_ + 1) * page <= std::ssize(tokens); ++published_) {
    PageId& mine = pages_[static_cast<size_t>(published_)];
    mine = pool_->publish(
        last(published_),
        tokens.subspan(static_cast<size_t>(published_ * page), static_cast<size_t>(page)), mine);
  }
}

void SequencePages::publish_and_release(std::span<const int32_t> tokens) {
  publish_full_pages(tokens);
  const auto rest = tokens.subspan(static_cast<size_t>(published_ * pool_->page_positions()));
  if (!rest.empty()) {
    PageId& mine = pages_[static_cast<size_t>(published_)];
    mine = pool_->publish(last(published_), rest, mine);
    ++published_;
  }
  truncate(0);
}

}  // namespace trit
