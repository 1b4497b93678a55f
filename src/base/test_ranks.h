#pragma once
// For tests: ranks that are threads of this process.

#include <barrier>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <thread>
#include <vector>

#include "base/collectives.h"
#include "base/error.h"

namespace trit {

class ThreadRanks : public Collectives {
 public:
  struct Group {
    explicit Group(int ranks)
        : size(ranks),
          barrier(ranks),
          spans(static_cast<size_t>(ranks)),
          out_sizes(static_cast<size_t>(ranks)),
          parts(static_cast<size_t>(ranks)) {}
    int size;
    std::barrier<> barrier;
    std::vector<std::span<const std::byte>> spans;
    std::vector<std::span<const int64_t>> out_sizes;
    std::vector<int> parts;
    std::map<int, std::shared_ptr<Group>> split;
    struct Mailbox {
      std::binary_semaphore full{0}, taken{0};
      std::span<const std::byte> bytes;
    };
    std::mutex lock;
    std::map<std::pair<int, int>, std::unique_ptr<Mailbox>> mail;
    Mailbox& box(int from, int to) {
      const std::lock_guard hold(lock);
      auto& box = mail[{from, to}];
      if (!box) box = std::make_unique<Mailbox>();
      return *box;
    }
  };
  ThreadRanks(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    share(mine);
    for (size_t r = 0; r < group_->spans.size(); ++r)
      std::memcpy(all.data() + r * mine.size(), group_->spans[r].data(), mine.size());
    group_->barrier.arrive_and_wait();
  }
  void all_gather_parts(std::span<const std::byte> mine, std::span<const int64_t> sizes,
                        std::span<std::byte> all) override {
    share(mine);
    std::byte* at = all.data();
    for (size_t r = 0; r < sizes.size(); ++r) {
      TRIT_CHECK(group_->spans[r].size() == static_cast<size_t>(sizes[r]));
      if (at != group_->spans[r].data() && sizes[r] > 0)
        std::memcpy(at, group_->spans[r].data(), group_->spans[r].size());
      at += sizes[r];
    }
    group_->barrier.arrive_and_wait();
  }
  void all_to_all(std::span<const std::byte> out, std::span<const int64_t> out_sizes,
                  std::span<std::byte> in, std::span<const int64_t> in_sizes) override {
    group_->out_sizes[static_cast<size_t>(rank_)] = out_sizes;
    share(out);
    std::byte* at = in.data();
    for (size_t r = 0; r < in_sizes.size(); ++r) {
      const auto& sizes = group_->out_sizes[r];
      TRIT_CHECK(sizes[static_cast<size_t>(rank_)] == in_sizes[r]);
      const int64_t before = std::accumulate(sizes.begin(), sizes.begin() + rank_, int64_t{0});
      if (in_sizes[r] > 0)
        std::memcpy(at, group_->spans[r].data() + before, static_cast<size_t>(in_sizes[r]));
      at += in_sizes[r];
    }
    group_->barrier.arrive_and_wait();
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    share(bytes);
    if (rank_ != root)
      std::memcpy(bytes.data(), group_->spans[static_cast<size_t>(root)].data(), bytes.size());
    group_->barrier.arrive_and_wait();
  }
  void send(std::span<const std::byte> bytes, int to) override {
    auto& box = group_->box(rank_, to);
    box.bytes = bytes;
    box.full.release();
    box.taken.acquire();
  }
  void receive(std::span<std::byte> bytes, int from) override {
    auto& box = group_->box(from, rank_);
    box.full.acquire();
    TRIT_CHECK(box.bytes.size() == bytes.size());
    std::memcpy(bytes.data(), box.bytes.data(), bytes.size());
    box.taken.release();
  }
  std::unique_ptr<Collectives> split(int part) override {
    group_->parts[static_cast<size_t>(rank_)] = part;
    group_->barrier.arrive_and_wait();
    int rank = 0, size = 0;
    for (size_t r = 0; r < group_->parts.size(); ++r) {
      if (group_->parts[r] != part) continue;
      rank += static_cast<int>(r) < rank_ ? 1 : 0;
      ++size;
    }
    std::shared_ptr<Group> mine;
    {
      const std::lock_guard hold(group_->lock);
      auto& known = group_->split[part];
      if (!known) known = std::make_shared<Group>(size);
      mine = known;
    }
    group_->barrier.arrive_and_wait();
    if (rank_ == 0) group_->split.clear();
    group_->barrier.arrive_and_wait();
    return std::make_unique<ThreadRanks>(std::move(mine), rank);
  }

 private:
  void share(std::span<const std::byte> mine) {
    group_->spans[static_cast<size_t>(rank_)] = mine;
    group_->barrier.arrive_and_wait();
  }
  std::shared_ptr<Group> group_;
  int rank_;
};

// Runs body on `count` ranks; rethrows the exception of the lowest rank that threw (all must, or others hang).
inline void run_ranks(int count, const std::function<void(Collectives&)>& body) {
  auto group = std::make_shared<ThreadRanks::Group>(count);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int r = 0; r < count; ++r) {
    threads.emplace_back([&, r] {
      try {
        ThreadRanks ranks(group, r);
        body(ranks);
      } catch (...) {
        errors[static_cast<size_t>(r)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace trit
