#pragma once
// One thread that does what it is given, in order, while its owner does something else.

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace trit {

class Background {
 public:
  Background();
  // Does what it was given first.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void run(std::function<void()> work);
  // Returns when all is done; rethrows the first exception, after which the rest was left out.
  void wait();

 private:
  void serve();
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool busy_ = false, ending_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace trit
