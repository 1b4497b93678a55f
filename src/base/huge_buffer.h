#pragma once
// Memory for what is large and read end to end: in huge pages where the system has them, untouched at first, so
// that each page lies near the thread that writes it first.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace trit {

// Movable; unmapped at the end. Begins at a multiple of 2 MiB and reads as zeros.
class HugeBuffer {
 public:
  HugeBuffer() = default;
  // Throws Error (exit code 1) naming the size when the system has not that much. With `reserve` off it need not
  // have it yet: for what may never be used to the end.
  explicit HugeBuffer(size_t bytes, bool reserve = true);
  HugeBuffer(HugeBuffer&& other) noexcept { *this = std::move(other); }
  HugeBuffer& operator=(HugeBuffer&& other) noexcept;
  ~HugeBuffer();
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0, mapped_ = 0;
  void* mapping_ = nullptr;
};

}  // namespace trit
