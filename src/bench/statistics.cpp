#include "bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace trit::bench {
namespace {

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

}  // namespace

Statistics statistics(const std::vector<double>& values) {
  TRIT_CHECK(!values.empty());
  Statistics s;
  const auto n = static_cast<double>(values.size());
  s.samples = static_cast<int64_t>(values.size());
  s.median = median(values);
  s.least = std::ranges::min(values);
  s.largest = std::ranges::max(values);
  s.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  std::vector<double> distances;
  double squares = 0;
  for (const double v : values) {
    distances.push_back(std::abs(v - s.median));
    squares += (v - s.mean) * (v - s.mean);
  }
  s.spread = median(std::move(distances));
  s.deviation = values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  return s;
}

Statistics rates(double work, const std::vector<double>& seconds) {
  std::vector<double> values;
  for (const double t : seconds) values.push_back(work / std::max(t, 1e-12));
  return statistics(values);
}

}  // namespace trit::bench
