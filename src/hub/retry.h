#pragma once
// Trying again, a bounded number of times and ever later.

#include <chrono>
#include <functional>

#include "hub/http.h"

namespace trit {

struct RetryPolicy {
  int attempts = 6;                       // in a row that bring nothing
  std::chrono::milliseconds first{1000};  // before the second attempt; doubles each time
  std::chrono::milliseconds longest{30'000};
  std::function<void(std::chrono::milliseconds)> wait;  // must be set; may throw Stopped
  std::function<void(const NetworkError&, std::chrono::milliseconds)>
      tell;  // before a wait; optional
};

// Waits on the clock; throws Stopped within a tenth of a second after `stop` says so.
std::function<void(std::chrono::milliseconds)> clock_wait(std::function<bool()> stop);

class Retries {
 public:
  explicit Retries(const RetryPolicy& policy) : policy_(policy) {}
  // An attempt failed. Throws `error` again when it does not pass or the attempts are used up; otherwise
  // waits: twice as long as before, or as long as the server asks for, but never above the longest.
  void failed(const NetworkError& error);
  // The failed attempt had brought something worth it: counting begins anew.
  void gained() { failures_ = 0; }

 private:
  const RetryPolicy& policy_;
  int failures_ = 0;
};

// attempt() until it does not throw a passing NetworkError.
template <class Attempt>
auto with_retries(const RetryPolicy& policy, const Attempt& attempt) {
  Retries retries(policy);
  for (;;) {
    try {
      return attempt();
    } catch (const NetworkError& error) {
      retries.failed(error);
    }
  }
}

}  // namespace trit
