#include "cli/interrupt.h"

#include <csignal>

namespace trit {

namespace {
volatile std::sig_atomic_t asked = 0;

void ask(int) { asked = 1; }
}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = ask;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void catch_every_interrupt(bool ends_reading) {
  struct sigaction action = {};
  action.sa_handler = ask;
  action.sa_flags = ends_reading ? 0 : SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

void forget_interrupt() { asked = 0; }

bool interrupted() { return asked != 0; }

}  // namespace trit
