#pragma once
// Who says that a rank died when it cannot say so itself: killed by a signal, by the system for want of memory, by a fault.

#include <cstdint>

namespace trit {

// In a job of several ranks: goes on in a process of its own, and leaves this one to wait for its end. When a signal ended
// it the one that waits names rank, host and step on standard error and exits with 1, upon which mpirun ends the job; else
// it exits with the same code. Signals for the job reach both, and only the rank minds them. To be called before
// world(), and before there are threads. In a program that mpirun did not start, nothing happens.
void guard_rank();
// The step that this rank is in.
void rank_is_at_step(int64_t step);

}  // namespace trit
