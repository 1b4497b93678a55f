#include "ops/stored_matrix.h"

namespace trit {

int64_t StoredMatrix::row_bytes(int64_t columns) const {
  if (layout != nullptr) return columns / layout->block * layout->bytes;
  return columns * static_cast<int64_t>(dtype_size(type));
}

void StoredMatrix::read_row(int64_t r, int64_t columns, float* out) const {
  if (layout != nullptr) {
    layout->decode(row(r, columns), columns / layout->block, out);
  } else {
    to_f32(type, row(r, columns), static_cast<size_t>(columns), out);
  }
}

}  // namespace trit
