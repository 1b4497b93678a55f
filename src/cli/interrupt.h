#pragma once
// Ctrl-C as a wish to stop at the next good moment.

namespace trit {

// From now on the first SIGINT or SIGTERM sets interrupted(); the second ends the program as usual.
void catch_interrupts();
bool interrupted();

// From now on every SIGINT sets interrupted() and none ends the program; forget_interrupt() unsets it.
// With `ends_reading`, a read that waits for input ends with EINTR.
void catch_every_interrupt(bool ends_reading);
void forget_interrupt();

// What the program exits with after it was asked to stop and did so in order.
inline constexpr int kInterruptedExit = 130;

}  // namespace trit
