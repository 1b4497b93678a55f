#pragma once
// How rows are dealt out to threads where each takes a pass or two over its row.

#include <cstdint>

namespace trit {

// Rows of so many columns that are worth handing to a thread.
constexpr int64_t row_grain(int64_t columns) {
  constexpr int64_t kElements = 8192;
  return columns < kElements ? kElements / columns : 1;
}

}  // namespace trit
