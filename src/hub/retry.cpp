#include "hub/retry.h"

#include <algorithm>
#include <thread>

namespace trit {

using std::chrono::milliseconds;

std::function<void(milliseconds)> clock_wait(std::function<bool()> stop) {
  return [stop = std::move(stop)](milliseconds left) {
    constexpr milliseconds kStep{100};
    for (; left.count() > 0; left -= kStep) {
      if (stop()) throw Stopped();
      std::this_thread::sleep_for(std::min(left, kStep));
    }
    if (stop()) throw Stopped();
  };
}

void Retries::failed(const NetworkError& error) {
  ++failures_;
  if (!error.passing()) throw error;
  if (failures_ >= policy_.attempts) {
    throw NetworkError(fmt::format("{} (tried {} times)", error.what(), failures_), false);
  }
  const int doublings = std::min(failures_ - 1, 20);
  const milliseconds wanted =
      std::max<milliseconds>(policy_.first * (int64_t{1} << doublings), error.retry_after());
  const milliseconds delay = std::min(wanted, policy_.longest);
  if (policy_.tell) policy_.tell(error, delay);
  policy_.wait(delay);
}

}  // namespace trit
