#pragma once
// A tensor view (it owns nothing) and the aligned buffer that owns memory.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace trit {

using Shape = std::vector<int64_t>;  // outermost dimension first, row-major

// Product of the dimensions; throws Error when one is negative or the product overflows 2^62.
int64_t element_count(const Shape& shape);
// "[4, 128]"
std::string to_string(const Shape& shape);

// Where a named tensor lies. The memory belongs to somebody else (a mapped file, a Buffer).
struct TensorView {
  DType type = DType::kF32;
  Shape shape;
  const std::byte* data = nullptr;
  int64_t count() const { return element_count(shape); }
  size_t bytes() const { return static_cast<size_t>(count()) * dtype_size(type); }
  // A copy of the values as float32 (floating types only).
  std::vector<float> to_f32() const;
};

template <class T>
class Buffer;
// The bytes of a tensor, made when they are needed: a file is written without holding all of them.
using MakeBytes = std::function<Buffer<std::byte>()>;

// Uninitialised memory, 64-byte aligned (a cache line, a zmm register), freed at the end.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count)
      : data_(static_cast<T*>(::operator new(bytes_for(count), kAlign))), size_(count) {}
  // Every element is T{}.
  static Buffer zeros(size_t count) {
    Buffer buffer(count);
    for (size_t i = 0; i < count; ++i) buffer[i] = T{};
    return buffer;
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  // A vector register past the last element may be read.
  static size_t bytes_for(size_t count) {
    if (count > (SIZE_MAX - 64) / sizeof(T)) throw std::bad_array_new_length();
    return count * sizeof(T) + 64;
  }
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

}  // namespace trit
