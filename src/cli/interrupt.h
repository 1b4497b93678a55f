#pragma once
// Ctrl-C as a wish to stop at the next good moment.

namespace trit {

// From now on the first SIGINT or SIGTERM sets interrupted(); the second ends the program as usual.
void catch_interrupts();
bool interrupted();

// What the program exits with after it was asked to stop and did so in order.
inline constexpr int kInterruptedExit = 130;

}  // namespace trit
