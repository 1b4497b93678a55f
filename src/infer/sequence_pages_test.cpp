#include "infer/sequence_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>

#include "base/rng.h"

namespace trit {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int64_t kPage = 4;

Tokens first(const Tokens& tokens, int64_t count) {
  return {tokens.begin(), tokens.begin() + count};
}

int64_t common(const Tokens& a, const Tokens& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

const SequencePages::CopyPage kNoCopy = [](PageId, PageId) { FAIL() << "nothing is to be copied"; };

TEST(PagePool, GivesTheLowestPagesAndNothingWhenAllAreHeld) {
  PagePool pool(3, kPage);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), kNoPage);
  pool.release(2);
  pool.release(0);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.take(), 0);
}

TEST(PagePool, KeepsAPageUntilItsLastHolderLetsGo) {
  PagePool pool(1, kPage);
  const PageId page = pool.take();
  pool.hold(page);
  pool.release(page);
  EXPECT_EQ(pool.available(), 0);
  pool.release(page);
  EXPECT_EQ(pool.available(), 1);
}

TEST(PagePool, TakesWhatWasLetGoFirst) {
  PagePool pool(2, kPage);
  const PageId a = pool.take(), b = pool.take();
  pool.publish(kNoPage, Tokens{1, 2, 3, 4}, a);
  pool.publish(kNoPage, Tokens{5, 6, 7, 8}, b);
  pool.release(b);
  pool.release(a);
  EXPECT_EQ(pool.cached(), 2);
  EXPECT_EQ(pool.take(), b);
  EXPECT_EQ(pool.find(kNoPage, Tokens{5, 6, 7, 8}).tokens, 0);
  EXPECT_EQ(pool.find(kNoPage, Tokens{1, 2, 3, 4}).page, a);
}

TEST(PagePool, FindsTheLongestBeginningBehindTheRightParent) {
  PagePool pool(8, kPage);
  std::vector<PageId> p;
  for (int i = 0; i < 5; ++i) p.push_back(pool.take());
  pool.publish(kNoPage, Tokens{1, 2, 3, 4}, p[0]);
  pool.publish(kNoPage, Tokens{1, 2, 9, 9}, p[1]);
  pool.publish(p[0], Tokens{1, 2, 3, 5}, p[2]);
  pool.publish(p[1], Tokens{7, 7}, p[3]);
  pool.publish(kNoPage, Tokens{0}, p[4]);
  EXPECT_EQ(pool.find(kNoPage, Tokens{1, 2, 3, 5}).page, p[0]);
  EXPECT_EQ(pool.find(kNoPage, Tokens{1, 2, 3, 5}).tokens, 3);
  EXPECT_EQ(pool.find(kNoPage, Tokens{1, 2, 8}).tokens, 2);
  EXPECT_EQ(pool.find(p[0], Tokens{1, 2, 3, 4, 5, 6}).page, p[2]);
  EXPECT_EQ(pool.find(p[1], Tokens{7, 7, 7, 7}).tokens, 2);
  EXPECT_EQ(pool.find(p[1], Tokens{1, 2}).page, kNoPage);
  EXPECT_EQ(pool.find(kNoPage, Tokens{0, 5}).page, p[4]);
}

TEST(SequencePages, SequencesThatBeginAlikeHoldTheSamePages) {
  PagePool pool(8, kPage);
  const Tokens text = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  SequencePages a(pool), b(pool);
  ASSERT_TRUE(a.reserve(9));
  a.publish_full_pages(text);
  EXPECT_EQ(b.adopt_full_pages(text), 8);
  EXPECT_TRUE(std::ranges::equal(a.pages().first(2), b.pages()));
  EXPECT_EQ(pool.available(), 8 - 3);
  EXPECT_EQ(pool.holds(a.pages()[0]), 2);
}

// Both computed the same page; afterwards it is kept once.
TEST(SequencePages, WhoComesSecondHoldsTheFirstsPage) {
  PagePool pool(8, kPage);
  const Tokens text = {1, 2, 3, 4, 5, 6, 7, 8};
  SequencePages a(pool), b(pool);
  ASSERT_TRUE(a.reserve(8) && b.reserve(8));
  EXPECT_EQ(pool.available(), 4);
  a.publish_full_pages(text);
  b.publish_full_pages(text);
  EXPECT_TRUE(std::ranges::equal(a.pages(), b.pages()));
  EXPECT_EQ(pool.available(), 6);
}

TEST(SequencePages, APageThatIsNotFullIsGoneOnWithOrCopied) {
  PagePool pool(3, kPage);
  {
    SequencePages a(pool);
    ASSERT_TRUE(a.reserve(6));
    a.publish_and_release(Tokens{1, 2, 3, 4, 5, 6});
  }
  EXPECT_EQ(pool.cached(), 2);
  SequencePages b(pool), c(pool), d(pool);
  const Tokens go_on = {1, 2, 3, 4, 5, 6, 7}, other = {1, 2, 3, 4, 5, 9}, start = {1, 2, 9};
  b.adopt_full_pages(go_on);
  EXPECT_EQ(b.adopt_part(go_on, kNoCopy), 6);  // nobody holds it: taken over
  b.publish_and_release(go_on);
  c.adopt_full_pages(other);
  std::vector<std::pair<PageId, PageId>> copies;
  const auto copy = [&](PageId from, PageId to) { copies.emplace_back(from, to); };
  EXPECT_EQ(c.adopt_part(other, copy), 5);
  EXPECT_EQ(copies.size(), 1u);
  EXPECT_EQ(c.pages()[1], copies[0].second);
  EXPECT_EQ(pool.tokens_of(copies[0].first), 3);  // what was copied is still there
  EXPECT_EQ(d.adopt_full_pages(start), 0);
  EXPECT_EQ(d.adopt_part(start, copy), 2);  // takes the room of {5, 6, 7}
  EXPECT_EQ(pool.available(), 0);
}

TEST(SequencePages, ReservesAllOrNothingAndTruncates) {
  PagePool pool(3, kPage);
  SequencePages a(pool), b(pool);
  ASSERT_TRUE(a.reserve(5));
  EXPECT_FALSE(b.reserve(5));
  EXPECT_EQ(b.size(), 0);
  a.truncate(3);
  EXPECT_EQ(a.size(), 1);
  EXPECT_TRUE(b.reserve(5));
}

// Sequences come, grow and go at random. A page of the test knows what was written to it; beside the pool
// stands a list of all that its index should know.
class RandomOperations : public testing::TestWithParam<uint64_t> {
 protected:
  static constexpr int64_t kPages = 24;
  struct Running {
    Tokens tokens;
    SequencePages table;
  };

  void write(Running& s, int32_t token) {
    s.tokens.push_back(token);
    const int64_t last = std::ssize(s.tokens) - 1;
    Tokens& page = contents[s.table.pages()[static_cast<size_t>(last / kPage)]];
    page = s.tokens;  // all that it depends on
  }
  // The page's positions hold what the sequence wrote there, or would have.
  void expect_contents(const Running& s) const {
    for (int64_t p = 0; p * kPage < std::ssize(s.tokens); ++p) {
      const int64_t end = std::min((p + 1) * kPage, std::ssize(s.tokens));
      const Tokens& page = contents.at(s.table.pages()[static_cast<size_t>(p)]);
      ASSERT_GE(std::ssize(page), end);
      ASSERT_EQ(first(page, end), first(s.tokens, end));
    }
  }
  void expect_counts() const {
    std::map<PageId, int64_t> holds;
    for (const Running& s : running)
      for (const PageId page : s.table.pages()) ++holds[page];
    for (const auto& [page, count] : holds) ASSERT_EQ(pool.holds(page), count);
    ASSERT_EQ(pool.available(), kPages - std::ssize(holds));
    ASSERT_LE(pool.used(), kPages);
  }
  // The most tokens that a page which the index knows has in common with the text.
  int64_t known(const Tokens& text) const {
    int64_t most = 0;
    for (const auto& [page, written] : contents) {
      const int64_t mine = pool.tokens_of(page);
      if (mine == 0) continue;
      const int64_t begin = (std::ssize(written) - 1) / kPage * kPage;
      most = std::max(most, common(first(written, begin + mine), text));
    }
    return most;
  }

  PagePool pool{kPages, kPage};
  std::map<PageId, Tokens> contents;
  std::list<Running> running;
  int64_t found = 0, copied = 0, full = 0;
};

TEST_P(RandomOperations, KeepEveryPromise) {
  Rng rng(GetParam());
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(rng.below(static_cast<uint64_t>(n)));
  };
  for (int step = 0; step < 4000; ++step) {
    const int64_t action = below(8);
    if (action == 0 && running.size() < 8) {
      Tokens text(static_cast<size_t>(1 + below(20)));
      for (auto& t : text) t = static_cast<int32_t>(below(8) == 0);
      Running s{{}, SequencePages(pool)};
      const int64_t expected = known(text);
      const bool room = pool.available() > 4;
      int64_t have = s.table.adopt_full_pages(text);
      ASSERT_EQ(have, expected / kPage * kPage);
      have = s.table.adopt_part(text, [&](PageId from, PageId to) {
        contents[to] = contents.at(from);
        ++copied;
      });
      if (room) {
        ASSERT_EQ(have, expected);
      }
      found += have;
      s.tokens = first(text, have);
      running.push_back(std::move(s));
    } else if (action == 1 && !running.empty()) {
      const auto chosen = std::next(running.begin(), below(std::ssize(running)));
      // Sometimes as after an error: what was written last is not to be known.
      if (below(4) != 0) chosen->table.publish_and_release(chosen->tokens);
      running.erase(chosen);
    } else if (!running.empty()) {
      Running& s = *std::next(running.begin(), below(std::ssize(running)));
      const int64_t count = 1 + below(6);
      if (s.table.reserve(std::ssize(s.tokens) + count)) {
        for (int64_t i = 0; i < count; ++i) write(s, static_cast<int32_t>(below(8) == 0));
        s.table.publish_full_pages(s.tokens);
      } else {
        ++full;
      }
    }
    expect_counts();
    for (const Running& s : running) expect_contents(s);
    if (HasFatalFailure()) return;
  }
  running.clear();
  EXPECT_EQ(pool.available(), kPages);
  // All of it was seen.
  EXPECT_GT(found, 100);
  EXPECT_GT(copied, 10);
  EXPECT_GT(full, 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(uint64_t{1}, uint64_t{7}));

}  // namespace
}  // namespace trit
