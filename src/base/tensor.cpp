#include "base/tensor.h"

#include "base/error.h"

namespace trit {

int64_t element_count(const Shape& shape) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) bad_input("shape {} has a negative dimension", to_string(shape));
    if (size > 0 && count > kLimit / size) {
      bad_input("shape {} has more than 2^62 elements", to_string(shape));
    }
    count *= size;
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::vector<float> TensorView::to_f32() const {
  std::vector<float> values(static_cast<size_t>(count()));
  trit::to_f32(type, data, values.size(), values.data());
  return values;
}

}  // namespace trit
