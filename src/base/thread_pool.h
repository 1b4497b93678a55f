#pragma once
// The program's worker threads. Work is cut into pieces by the caller, never by the number of
// threads, so results do not depend on how many there are.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace trit {

// Threads that parallel_for uses, the caller included: what set_thread_count said last, else
// TRIT_THREADS, else the cores this process may run on (affinity mask, cgroup quota; one thread a core).
int thread_count();
// 1 to 1024, else Error.
void set_thread_count(int count);

// Calls body(i) once for each i in [0, count), in any order, on the pool; returns when all are done.
// Every thread begins with a run of neighbouring indices of its own, the same in every loop of that count, so
// that it meets the memory that it met before; who is done early takes over from the others.
// The first exception of a body is rethrown here; bodies that have not begun by then are left out.
// Called from inside a body, it runs serially. Calls from several threads take turns.
void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

// Cuts [0, total) into runs of `grain` (the last may be shorter): body(begin, end).
void parallel_ranges(int64_t total, int64_t grain,
                     const std::function<void(int64_t, int64_t)>& body);

// Memory that a later loop reads from end to end: parts one behind the other, an index so many bytes.
struct ReadAhead {
  std::array<std::span<const std::byte>, 3> parts;
  int64_t index_bytes = 0;
};
// Until the calling thread says otherwise, threads that wait for others during and behind its loops fetch the
// beginning of their own share of it into their second cache, as much as half of that holds. Nothing is promised and
// nothing is read: the memory may be gone by then.
void read_ahead(const ReadAhead& ahead);

// While one lives the workers wait for the next loop awake, for up to two milliseconds, instead of going to
// sleep: one around a forward pass makes a whole token cost one waking. Cheap to nest.
class ParallelSection {
 public:
  ParallelSection();
  ~ParallelSection();
  ParallelSection(const ParallelSection&) = delete;
  ParallelSection& operator=(const ParallelSection&) = delete;
};

}  // namespace trit
