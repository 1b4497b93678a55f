// What devices exchange, among threads as ranks: on one device through the host, on two over NCCL.

#include "kernels/cuda/collectives.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/test_ranks.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

void exchange(int ranks, int devices, bool over_nccl) {
  run_ranks(ranks, [&](Collectives& all) {
    use_device(all.rank() % devices);
    EXPECT_EQ(agreed_exchange(all), over_nccl ? Exchange::kPeers : Exchange::kHost);
    const auto group = over_nccl ? nccl_collectives(all) : host_collectives(all);
    EXPECT_EQ(group->only_queues(), over_nccl);
    const Stream stream;
    // Twice, the second time more, so that memory is taken anew.
    for (const int64_t words : {5, 70000}) {
      std::vector<int32_t> mine(static_cast<size_t>(words), 1000 + all.rank());
      const DeviceMemory part(4 * words), gathered(4 * words * ranks), passed(4 * words);
      copy_to_device(part.data(), mine.data(), 4 * words, stream.handle());
      fill(gathered.data(), 0xFF, gathered.bytes(), stream.handle());
      group->all_gather(stream.handle(), part.data(), gathered.data(), 4 * words);
      // On from rank to rank, each adding its own in front.
      if (all.rank() > 0) group->receive(stream.handle(), passed.data(), 4 * words, all.rank() - 1);
      copy_to_device(passed.as<int32_t>() + all.rank(), mine.data(), 4, stream.handle());
      if (all.rank() + 1 < ranks)
        group->send(stream.handle(), passed.data(), 4 * words, all.rank() + 1);
      std::vector<int32_t> result(static_cast<size_t>(words * ranks)),
          chain(static_cast<size_t>(ranks));
      copy_to_host(result.data(), gathered.data(), gathered.bytes(), stream.handle());
      copy_to_host(chain.data(), passed.data(), 4 * ranks, stream.handle());
      stream.wait();
      for (int64_t i = 0; i < words * ranks; ++i)
        ASSERT_EQ(result[static_cast<size_t>(i)], 1000 + i / words);
      for (int r = 0; r <= all.rank(); ++r) EXPECT_EQ(chain[static_cast<size_t>(r)], 1000 + r);
    }
  });
}

TEST(CudaCollectives, ThroughTheHost) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  exchange(3, 1, false);
}

TEST(CudaCollectives, OverNccl) {
  if (devices().size() < 2) GTEST_SKIP() << "fewer than two NVIDIA devices";
  if (!nccl_built()) GTEST_SKIP() << "built without NCCL";
  exchange(2, 2, true);
}

// By hand: five columns of two ranks are their two and three, in rows of four.
TEST(CudaColumns, StandSideBySide) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const std::vector<float> all{1, 2, -1, -1, 11, 12, -1, -1, 3, 4, 5, -1, 13, 14, 15, -1};
  std::vector<float> full{100, 100, 100, 100, 100, 7, 200, 200, 200, 200, 200, 7};
  const Stream stream;
  const DeviceMemory from(64), to(48);
  copy_to_device(from.data(), all.data(), 64, stream.handle());
  copy_to_device(to.data(), full.data(), 48, stream.handle());
  const auto placed = [&](Epilogue epilogue) {
    place_columns(stream.handle(), from.as<float>(), 4, 2, 2, 5, epilogue, to.as<float>(), 6);
    copy_to_host(full.data(), to.data(), 48, stream.handle());
    stream.wait();
    return full;
  };
  EXPECT_EQ(placed(Epilogue::kAdd), (std::vector<float>{101, 102, 103, 104, 105, 7,  //
                                                        211, 212, 213, 214, 215, 7}));
  EXPECT_EQ(placed(Epilogue::kStore),
            (std::vector<float>{1, 2, 3, 4, 5, 7, 11, 12, 13, 14, 15, 7}));
}

// The first columns of ranks are those of share_of() (model/parallel.h), for every rank and size.
TEST(CudaColumns, BeginWhereSharesBegin) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  for (const int64_t ranks : {1, 2, 3, 7})
    for (const int64_t columns : {7, 100, 301, 4096}) {
      const int64_t stride = (columns + ranks - 1) / ranks + 3;
      std::vector<float> all(static_cast<size_t>(ranks * stride), -1),
          full(static_cast<size_t>(columns));
      for (int64_t r = 0; r < ranks; ++r) {
        const int64_t begin = columns * r / ranks, end = columns * (r + 1) / ranks;
        for (int64_t c = begin; c < end; ++c)
          all[static_cast<size_t>(r * stride + c - begin)] = static_cast<float>(c);
      }
      const DeviceMemory from(4 * ranks * stride), to(4 * columns);
      copy_to_device(from.data(), all.data(), from.bytes(), stream.handle());
      place_columns(stream.handle(), from.as<float>(), stride, ranks, 1, columns, Epilogue::kStore,
                    to.as<float>(), columns);
      copy_to_host(full.data(), to.data(), to.bytes(), stream.handle());
      stream.wait();
      for (int64_t c = 0; c < columns; ++c)
        ASSERT_EQ(full[static_cast<size_t>(c)], static_cast<float>(c)) << ranks << ", " << columns;
    }
}

}  // namespace
}  // namespace trit::cuda
