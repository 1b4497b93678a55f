#pragma once
// Shapes that a file claims.

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/tensor.h"

namespace trit {

// Elements of the shape; at most 2^59, as is each dimension, so that sizes in bytes fit 64 bits whatever
// the type. Throws Error beginning with `where` when a dimension is negative or there are more.
inline int64_t checked_count(const Shape& shape, std::string_view where) {
  constexpr int64_t kLimit = int64_t{1} << 59;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || size > kLimit || (size > 0 && count > kLimit / size)) {
      bad_input("{}: shape is {}; dimensions are from 0 to 2^59 and so is their product", where,
                printable(to_string(shape)));
    }
    count *= size;
  }
  return count;
}

}  // namespace trit
