#pragma once

#include <cstddef>
#include <cstdint>

namespace trit::bench {

// Zeroed memory from the system, on huge pages where it gives them: with small pages a stream through DRAM
// also measures how page tables are walked. A thread's part should first be written by that thread. Throws
// Error when there is not so much.
class Pages {
 public:
  explicit Pages(size_t bytes);
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages();
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // Writes to bytes [begin, end) values that are not zero.
  void fill(size_t begin, size_t end);

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Bytes that can be taken without swapping, as the system estimates it.
int64_t available_memory();

}  // namespace trit::bench
