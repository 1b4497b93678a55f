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

bool interrupted() { return asked != 0; }

}  // namespace trit
