#pragma once
// The program's worker threads. Work is cut into pieces by the caller, never by the number of
// threads, so results do not depend on how many there are.

#include <cstdint>
#include <functional>

namespace trit {

// Threads that parallel_for uses, the caller included: what set_thread_count said last, else
// TRIT_THREADS, else the CPUs this process may run on (affinity mask and cgroup quota).
int thread_count();
// 1 to 1024, else Error.
void set_thread_count(int count);

// Calls body(i) once for each i in [0, count), in any order, on the pool; returns when all are done.
// The first exception of a body is rethrown here; bodies that have not begun by then are left out.
// Called from inside a body, it runs serially. Calls from several threads take turns.
void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

// Cuts [0, total) into runs of `grain` (the last may be shorter): body(begin, end).
void parallel_ranges(int64_t total, int64_t grain,
                     const std::function<void(int64_t, int64_t)>& body);

}  // namespace trit
