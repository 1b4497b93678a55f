#include "base/collectives.h"

// Not the C++ bindings of MPI 2, which libraries left out since.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/single_rank.h"

namespace trit {
namespace {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  failure("MPI: {}: {}", call, std::string_view(text, static_cast<size_t>(length)));
}

// Counts of MPI are ints: longer messages go in pieces.
template <class Call>
void in_pieces(int64_t bytes, const Call& call) {
  constexpr int64_t kPiece = int64_t{1} << 30;
  for (int64_t done = 0; done < bytes || (bytes == 0 && done == 0); done += kPiece)
    call(done, static_cast<int>(std::min(kPiece, bytes - done)));
}

// Parts of a buffer, one behind the other, as MPI wants them.
struct Parts {
  explicit Parts(std::span<const int64_t> sizes) {
    for (const int64_t size : sizes) {
      counts.push_back(static_cast<int>(size));
      begins.push_back(static_cast<int>(total));
      wide.push_back(total);
      total += size;
    }
  }
  bool fit() const { return total <= INT32_MAX; }
  int64_t begin(size_t rank) const { return wide[rank]; }
  std::vector<int> counts, begins;
  std::vector<int64_t> wide;
  int64_t total = 0;
};

class MpiCollectives : public Collectives {
 public:
  explicit MpiCollectives(MPI_Comm group) : group_(group) {
    check(MPI_Comm_rank(group, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(group, &size_), "MPI_Comm_size");
  }
  ~MpiCollectives() override {
    if (group_ != MPI_COMM_WORLD) MPI_Comm_free(&group_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    TRIT_CHECK(all.size() == mine.size() * static_cast<size_t>(size_));
    if (mine.size() > INT32_MAX)
      failure("MPI: {} bytes are too many to gather at once", mine.size());
    const int count = static_cast<int>(mine.size());
    check(MPI_Allgather(mine.data(), count, MPI_BYTE, all.data(), count, MPI_BYTE, group_),
          "MPI_Allgather");
  }
  void all_gather_parts(std::span<const std::byte> mine, std::span<const int64_t> sizes,
                        std::span<std::byte> all) override {
    const Parts parts(sizes);
    TRIT_CHECK(parts.total == std::ssize(all) && std::ssize(mine) == sizes[here()]);
    std::byte* place = all.data() + parts.begin(here());
    if (parts.fit()) {
      const bool there = mine.data() == place;
      check(MPI_Allgatherv(there ? MPI_IN_PLACE : mine.data(), parts.counts[here()], MPI_BYTE,
                           all.data(), parts.counts.data(), parts.begins.data(), MPI_BYTE, group_),
            "MPI_Allgatherv");
      return;
    }
    if (mine.data() != place) std::ranges::copy(mine, place);
    for (int r = 0; r < size_; ++r) {
      const auto rank = static_cast<size_t>(r);
      broadcast(
          all.subspan(static_cast<size_t>(parts.begin(rank)), static_cast<size_t>(sizes[rank])), r);
    }
  }
  void all_to_all(std::span<const std::byte> out, std::span<const int64_t> out_sizes,
                  std::span<std::byte> in, std::span<const int64_t> in_sizes) override {
    const Parts from(out_sizes), to(in_sizes);
    TRIT_CHECK(from.total == std::ssize(out) && to.total == std::ssize(in));
    if (!from.fit() || !to.fit())
      failure("MPI: {} bytes are too many to exchange at once", std::max(from.total, to.total));
    check(MPI_Alltoallv(out.data(), from.counts.data(), from.begins.data(), MPI_BYTE, in.data(),
                        to.counts.data(), to.begins.data(), MPI_BYTE, group_),
          "MPI_Alltoallv");
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    in_pieces(std::ssize(bytes), [&](int64_t at, int count) {
      check(MPI_Bcast(bytes.data() + at, count, MPI_BYTE, root, group_), "MPI_Bcast");
    });
  }
  void send(std::span<const std::byte> bytes, int to) override {
    in_pieces(std::ssize(bytes), [&](int64_t at, int count) {
      check(MPI_Send(bytes.data() + at, count, MPI_BYTE, to, 0, group_), "MPI_Send");
    });
  }
  void receive(std::span<std::byte> bytes, int from) override {
    in_pieces(std::ssize(bytes), [&](int64_t at, int count) {
      check(MPI_Recv(bytes.data() + at, count, MPI_BYTE, from, 0, group_, MPI_STATUS_IGNORE),
            "MPI_Recv");
    });
  }
  std::unique_ptr<Collectives> split(int part) override {
    MPI_Comm group = MPI_COMM_NULL;
    check(MPI_Comm_split(group_, part, rank_, &group), "MPI_Comm_split");
    return std::make_unique<MpiCollectives>(group);
  }

 private:
  size_t here() const { return static_cast<size_t>(rank_); }
  MPI_Comm group_;
  int rank_ = 0, size_ = 1;
};

void finalize() { MPI_Finalize(); }

// Its communicators are never freed after MPI_Finalize.
Collectives& start_world() {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_SERIALIZED) failure("MPI: this library cannot be called from threads");
  std::atexit(finalize);
  return *new MpiCollectives(MPI_COMM_WORLD);
}

}  // namespace

Collectives& world() {
  if (!started_by_mpi()) return single_rank();
  static Collectives& all = start_world();
  return all;
}

void abort_job(int exit_code) {
  int started = 0, ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  if (started != 0 && ended == 0 && world().size() > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

}  // namespace trit
