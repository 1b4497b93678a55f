#pragma once
// Sums over the ranks of a job, the same bits on every run: parts are added in halves of halves, ((p0 + p1) + (p2 + p3)),
// so the order depends on nothing but how many there are. Who has several neighbouring parts adds them so first: where
// the ranks are a power of two, the sum over all is then that of one rank that has all parts.

#include <cstdint>
#include <span>
#include <vector>

#include "base/collectives.h"

namespace trit {

// parts [count, size], one behind the other: part 0 becomes their sum; the others are overwritten.
void sum_halves(std::span<float> parts, int64_t count);
// The same of numbers.
double sum_halves(std::span<const double> parts);
// The order itself: join(a, b) for each sum a += b over parts [begin, end), where sum a ends up in part a.
template <class Join>
void in_halves(int64_t begin, int64_t end, const Join& join) {
  if (end - begin < 2) return;
  const int64_t middle = (begin + end) / 2;
  in_halves(begin, middle, join);
  in_halves(middle, end, join);
  join(begin, middle);
}

// Rank r gets, in `mine` [sizes[r]], the sum of everybody's r-th part of `values`, whose parts lie one behind the other
// and have sizes[] floats. `memory` grows to what comes from the others. `mine` may be this rank's own part of `values`.
void reduce_scatter(Collectives& ranks, std::span<const float> values,
                    std::span<const int64_t> sizes, std::span<float> mine,
                    std::vector<float>& memory);
// Everybody's numbers, in order of rank: the same number from each.
std::vector<double> gather_numbers(Collectives& ranks, std::span<const double> mine);
// Everybody's numbers become their sums. For few of them.
void all_reduce(Collectives& ranks, std::span<double> numbers);

}  // namespace trit
