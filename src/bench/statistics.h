#pragma once
// What repeated measurements say: a median, and how far they spread around it.

#include <cstdint>
#include <vector>

namespace trit::bench {

struct Statistics {
  double median = 0;
  // Median of the distances from the median: half of the measurements lie within median +- spread. Unlike
  // the standard deviation it does not grow with one measurement that something else disturbed.
  double spread = 0;
  double least = 0, largest = 0;
  double mean = 0, deviation = 0;  // and the standard deviation, of a sample (n - 1), 0 for n = 1
  int64_t samples = 0;
};

// Of at least one value.
Statistics statistics(const std::vector<double>& values);

// Of work / t for each time t: rates have their own median, which is work / median(t) for an odd count only.
Statistics rates(double work, const std::vector<double>& seconds);

}  // namespace trit::bench
