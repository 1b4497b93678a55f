#pragma once
// The last step of screening: which rows can be among the k largest.

#include <cstdint>
#include <vector>

namespace trit {

constexpr int64_t kScreenChunk = 256;  // rows that a thread screens at a time

// What a screen says of each row r: y[r] is above its product, by no more than width(r) >= 0; both may be shifted by the
// same for all rows.
struct Screened {
  const float* y;  // [rows]
  int64_t rows;
  const float *largest, *certain;  // of each chunk: of y[r], and of y[r] - width(r)
  // width(r) = errors[r] factor + base; without errors just the base.
  const float* errors;
  double factor, base;
  double width(int64_t r) const {
    return errors == nullptr ? base : static_cast<double>(errors[r]) * factor + base;
  }
};

// Rows in order. None when there would be so many that nothing is gained.
void select_rows(const Screened& screened, int64_t k, std::vector<int32_t>& found);

}  // namespace trit
