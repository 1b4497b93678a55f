#include "ops/screen_select.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace trit {
namespace {

// What a row must reach so that the k-th of these need not be better.
double kth_largest(std::vector<double>& values, int64_t k) {
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(values.begin(), kth, values.end(), std::greater());
  return *kth;
}

}  // namespace

// A chunk's largest is one of the values: the k-th of those is no more than the k-th of all.
void select_rows(const Screened& s, int64_t k, std::vector<int32_t>& found) {
  const int64_t chunks = (s.rows + kScreenChunk - 1) / kScreenChunk;
  found.clear();
  double least = -std::numeric_limits<double>::infinity();
  std::vector<double> values(s.certain, s.certain + chunks);
  if (chunks >= k) least = kth_largest(values, k);
  values.clear();
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    if (static_cast<double>(s.largest[chunk]) < least) continue;
    for (int64_t r = chunk * kScreenChunk; r < std::min(s.rows, (chunk + 1) * kScreenChunk); ++r) {
      const auto y = static_cast<double>(s.y[r]);
      if (y < least) continue;
      found.push_back(static_cast<int32_t>(r));
      values.push_back(y - s.width(r));
    }
  }
  least = kth_largest(values, k);
  std::erase_if(found, [&](int32_t r) { return static_cast<double>(s.y[r]) < least; });
  // A row alone takes several times as long as among others.
  if (std::ssize(found) > k + s.rows / 32) found.clear();
}

}  // namespace trit
