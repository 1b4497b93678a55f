#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/timer.h"

namespace trit {
namespace {

// More threads than this machine may have, so that they do get in each other's way.
class ThreadPoolTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8));

TEST_P(ThreadPoolTest, CallsEachIndexOnce) {
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<int> calls(
        static_cast<size_t>(count));  // plain ints: a second caller would be a race
    parallel_for(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    EXPECT_EQ(calls, std::vector<int>(calls.size(), 1));
  }
}

TEST_P(ThreadPoolTest, ReadsAheadWithoutTouchingMemory) {
  // Addresses that nobody owns, and sizes that no index divides: to fetch from there must not fault.
  const std::span<const std::byte> nowhere(reinterpret_cast<const std::byte*>(uintptr_t{1} << 40),
                                           100'003);
  const std::vector<std::byte> memory(50'000);
  for (const ReadAhead& ahead :
       {ReadAhead{{memory, nowhere, memory}, 4096}, ReadAhead{{nowhere}, 1},
        ReadAhead{{memory}, int64_t{1} << 40}, ReadAhead{}}) {
    const ParallelSection awake;
    read_ahead(ahead);
    std::atomic<int64_t> sum = 0;
    for (int round = 0; round < 200; ++round) parallel_for(9, [&](int64_t i) { sum += i; });
    EXPECT_EQ(sum, 200 * 36);
  }
  read_ahead({});
}

TEST_P(ThreadPoolTest, ResultsOfOneLoopAreSeenByTheNext) {
  std::vector<int64_t> values(64, 0), copy(64, 0);
  for (int round = 0; round < 2000; ++round) {
    parallel_for(64, [&](int64_t i) { ++values[static_cast<size_t>(i)]; });
    parallel_for(
        64, [&](int64_t i) { copy[static_cast<size_t>(i)] = values[static_cast<size_t>(63 - i)]; });
    ASSERT_EQ(std::accumulate(copy.begin(), copy.end(), int64_t{0}), 64 * (round + 1));
  }
}

TEST_P(ThreadPoolTest, RethrowsAndGoesOn) {
  for (int round = 0; round < 50; ++round) {
    EXPECT_THROW(parallel_for(100,
                              [](int64_t i) {
                                if (i % 10 == 3) throw std::out_of_range("three");
                              }),
                 std::out_of_range);
    std::atomic<int> calls = 0;
    parallel_for(100, [&](int64_t) { ++calls; });
    EXPECT_EQ(calls, 100);
  }
}

TEST_P(ThreadPoolTest, NestedCallsRunSerially) {
  std::atomic<int> calls = 0;
  parallel_for(8, [&](int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(8, [&](int64_t) {
      if (std::this_thread::get_id() == self) ++calls;
    });
  });
  EXPECT_EQ(calls, 64);
}

TEST_P(ThreadPoolTest, ServesSeveralCallers) {
  std::atomic<int64_t> sum = 0;
  std::vector<std::thread> callers(4);
  for (auto& caller : callers) {
    caller = std::thread([&] {
      for (int round = 0; round < 100; ++round) parallel_for(10, [&](int64_t i) { sum += i; });
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 100 * 45);
}

TEST_P(ThreadPoolTest, RangesCoverTheWhole) {
  std::vector<int> calls(1000, 0);
  parallel_ranges(1000, 64, [&](int64_t begin, int64_t end) {
    EXPECT_TRUE(begin % 64 == 0 && (end - begin == 64 || end == 1000));
    for (int64_t i = begin; i < end; ++i) ++calls[static_cast<size_t>(i)];
  });
  EXPECT_EQ(calls, std::vector<int>(1000, 1));
  parallel_ranges(0, 64, [&](int64_t, int64_t) { FAIL(); });
}

TEST_P(ThreadPoolTest, KeepsToItsThreads) {
  std::vector<std::thread::id> ids(1000);
  parallel_for(1000, [&](int64_t i) { ids[static_cast<size_t>(i)] = std::this_thread::get_id(); });
  std::sort(ids.begin(), ids.end());
  EXPECT_LE(std::unique(ids.begin(), ids.end()) - ids.begin(), GetParam());
}

TEST(ThreadPool, ForkAndJoinCostIsRecorded) {
  set_thread_count(2);
  constexpr int kRounds = 2000;
  parallel_for(2, [](int64_t) {});
  const Timer timer;
  for (int round = 0; round < kRounds; ++round) parallel_for(2, [](int64_t) {});
  RecordProperty("nanoseconds", static_cast<int>(timer.seconds() / kRounds * 1e9));
}

TEST(ThreadCount, RefusesWhatMakesNoSense) {
  EXPECT_THROW(set_thread_count(0), Error);
  EXPECT_THROW(set_thread_count(1025), Error);
}

void print_count_and_exit(const char* setting) {
  setenv("TRIT_THREADS", setting, 1);
  try {
    std::exit(thread_count());
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
    std::exit(200);
  }
}

TEST(ThreadCountDeathTest, ReadsTheEnvironment) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";  // a new process: nothing is decided yet
  EXPECT_EXIT(print_count_and_exit("3"), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(print_count_and_exit("many"), testing::ExitedWithCode(200),
              "TRIT_THREADS is \"many\", expected 1 to 1024");
}

}  // namespace
}  // namespace trit
