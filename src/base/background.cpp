#include "base/background.h"

#include <utility>

namespace trit {

Background::Background() : thread_([this] { serve(); }) {}

Background::~Background() {
  {
    const std::lock_guard hold(lock_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Background::run(std::function<void()> work) {
  {
    const std::lock_guard hold(lock_);
    waiting_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void Background::wait() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [this] { return waiting_.empty() && !busy_; });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Background::serve() {
  std::unique_lock hold(lock_);
  for (;;) {
    changed_.wait(hold, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    busy_ = true;
    const bool left_out = error_ != nullptr;
    hold.unlock();
    std::exception_ptr error;
    try {
      if (!left_out) work();
    } catch (...) {
      error = std::current_exception();
    }
    hold.lock();
    busy_ = false;
    if (error && !error_) error_ = error;
    changed_.notify_all();
  }
}

}  // namespace trit
