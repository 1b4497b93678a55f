#pragma once
// What the ranks of one job do together. Ranks are processes that MPI started (world()); a program that it did not start
// is a job of one rank.
//
// Every rank of a group makes the same calls in the same order. A call returns when this rank's part is done.
// A rank that cannot go on ends the whole job: abort_job().

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace trit {

class Error;

class Collectives {
 public:
  virtual ~Collectives() = default;
  virtual int rank() const = 0;  // 0 to size() - 1
  virtual int size() const = 0;

  // all [size() * mine.size()]: everybody's bytes in order of rank; the same number from each.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  // The same with sizes[r] bytes from rank r. `mine` may lie in its place in `all`.
  virtual void all_gather_parts(std::span<const std::byte> mine, std::span<const int64_t> sizes,
                                std::span<std::byte> all) = 0;
  // Everybody to everybody: out_sizes[r] bytes of `out`, one part behind the other, go to rank r, and in_sizes[r] bytes of
  // `in` come from it. (base/reduce.h sums what comes.)
  virtual void all_to_all(std::span<const std::byte> out, std::span<const int64_t> out_sizes,
                          std::span<std::byte> in, std::span<const int64_t> in_sizes) = 0;
  // Every rank gets the root's bytes.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  // From one rank to another, which asks for as many bytes.
  virtual void send(std::span<const std::byte> bytes, int to) = 0;
  virtual void receive(std::span<std::byte> bytes, int from) = 0;
  // Cuts the group: ranks that name the same part stay together, in their order.
  virtual std::unique_ptr<Collectives> split(int part) = 0;
};

// All processes of this job. Throws Error (exit code 1) when mpirun started it and this build has no MPI.
Collectives& world();
// Ends all processes of the job; of one that is alone, nothing happens. Called before a rank exits with an error, which
// the others would wait for in vain.
void abort_job(int exit_code);
// Says on standard error which rank failed and why, and ends the job so.
void fail_job(int rank, const Error& error);

std::string host_name();
// How many ranks of lower number run on this rank's host. All ranks of the job call it together.
int rank_on_host(Collectives& job);

}  // namespace trit
