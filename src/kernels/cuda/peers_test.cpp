// The kernel that exchanges columns: ranks are streams of one device, and, where there are two, threads with one each.

#include "kernels/cuda/peers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/test_ranks.h"

namespace trit::cuda {
namespace {

// Value of a column of the whole, in exchange `turn`.
float value(int turn, int64_t t, int64_t column) {
  return static_cast<float>((turn * 100003 + t * 10007 + column * 3) % (1 << 22));
}

// A rank's part and the whole that it gets; the whole begins at 0.5 everywhere.
struct Rank {
  Rank(int ranks, int rank, int64_t T, int64_t columns)
      : ranks(ranks),
        rank(rank),
        T(T),
        columns(columns),
        stride(((columns + ranks - 1) / ranks + 15) / 16 * 16),
        part(4 * T * stride),
        full(4 * T * columns) {
    const std::vector<float> halves(static_cast<size_t>(T * columns), 0.5f);
    copy_to_device(full.data(), halves.data(), full.bytes(), stream.handle());
    stream.wait();
  }
  void fill(int turn) {
    std::vector<float> mine(static_cast<size_t>(T * stride), NAN);
    const int64_t begin = columns * rank / ranks, end = columns * (rank + 1) / ranks;
    for (int64_t t = 0; t < T; ++t)
      for (int64_t c = begin; c < end; ++c)
        mine[static_cast<size_t>(t * stride + c - begin)] = value(turn, t, c);
    copy_to_device(part.data(), mine.data(), part.bytes(), stream.handle());
    stream.wait();
  }
  void queue(const PeerInboxes& inboxes, Epilogue epilogue) {
    exchange_columns(stream.handle(), inboxes, part.as<float>(), stride, T, columns, epilogue,
                     full.as<float>(), columns);
  }
  void check(int turn, float more) {
    std::vector<float> got(static_cast<size_t>(T * columns));
    copy_to_host(got.data(), full.data(), full.bytes(), stream.handle());
    stream.wait();
    for (int64_t t = 0; t < T; ++t)
      for (int64_t c = 0; c < columns; ++c)
        ASSERT_EQ(got[static_cast<size_t>(t * columns + c)], value(turn, t, c) + more)
            << "rank " << rank << ", turn " << turn << ", row " << t << ", column " << c;
  }
  int ranks, rank;
  int64_t T, columns, stride;
  Stream stream;
  DeviceMemory part, full;
};

TEST(CudaPeers, StreamsOfOneDevice) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  for (const int ranks : {1, 2, 3}) {
    const int64_t inbox = inbox_bytes(ranks);
    const DeviceMemory memory(ranks * inbox), counters(ranks * 256);
    const Stream setup;
    fill(memory.data(), 0, memory.bytes(), setup.handle());
    fill(counters.data(), 0, counters.bytes(), setup.handle());
    setup.wait();
    std::vector<PeerInboxes> inboxes(static_cast<size_t>(ranks));
    for (int r = 0; r < ranks; ++r) {
      auto& mine = inboxes[static_cast<size_t>(r)];
      for (int p = 0; p < ranks; ++p) mine.of[p] = memory.data() + p * inbox;
      mine.ranks = ranks;
      mine.rank = r;
      mine.counters = reinterpret_cast<uint32_t*>(counters.data() + r * 256);
    }
    for (const auto& [T, columns] :
         {std::pair{1, 301}, std::pair{7, 64}, std::pair{1, 9000}, std::pair{60, 3001}}) {
      std::vector<std::unique_ptr<Rank>> all;
      for (int r = 0; r < ranks; ++r) all.push_back(std::make_unique<Rank>(ranks, r, T, columns));
      for (int turn = 0; turn < 5; ++turn) {
        const Epilogue epilogue = turn == 0 ? Epilogue::kAdd : Epilogue::kStore;
        for (auto& rank : all) rank->fill(turn);
        for (auto& rank : all) rank->queue(inboxes[static_cast<size_t>(rank->rank)], epilogue);
        for (auto& rank : all) rank->check(turn, turn == 0 ? 0.5f : 0.0f);
      }
    }
  }
}

TEST(CudaPeers, ADeviceEach) {
  if (devices().size() < 2) GTEST_SKIP() << "fewer than two NVIDIA devices";
  run_ranks(2, [](Collectives& all) {
    use_device(all.rank());
    const auto peers = Peers::connect(all);
    ASSERT_NE(peers, nullptr);
    for (const int64_t T : {1, 8}) {
      Rank rank(2, all.rank(), T, 14336);
      for (int turn = 0; turn < 20; ++turn) {
        rank.fill(turn);
        rank.queue(peers->inboxes(), Epilogue::kStore);
        rank.check(turn, 0);
      }
      // Many in a row, one rank ahead of the other.
      for (int i = 0; i < 500; ++i) rank.queue(peers->inboxes(), Epilogue::kStore);
      rank.check(19, 0);
    }
  });
}

TEST(CudaPeers, RanksThatShareADeviceHaveNone) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  run_ranks(2, [](Collectives& all) {
    use_device(0);
    EXPECT_EQ(Peers::connect(all), nullptr);
  });
}

}  // namespace
}  // namespace trit::cuda
