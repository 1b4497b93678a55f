#include "base/reduce.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"

namespace trit {

namespace {
constexpr int64_t kGrain = 32768;  // elements that one thread takes at a time
constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
}  // namespace

void sum_halves(std::span<float> parts, int64_t count) {
  const int64_t size = std::ssize(parts) / count;
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    in_halves(0, count, [&](int64_t a, int64_t b) {
      float* to = parts.data() + a * size;
      const float* from = parts.data() + b * size;
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    });
  });
}

double sum_halves(std::span<const double> parts) {
  std::vector<double> sums(parts.begin(), parts.end());
  in_halves(0, std::ssize(sums), [&](int64_t a, int64_t b) {
    sums[static_cast<size_t>(a)] += sums[static_cast<size_t>(b)];
  });
  return sums.empty() ? 0.0 : sums[0];
}

void reduce_scatter(Collectives& ranks, std::span<const float> values,
                    std::span<const int64_t> sizes, std::span<float> mine,
                    std::vector<float>& memory) {
  if (ranks.size() == 1) {
    if (mine.data() != values.data()) std::ranges::copy(values, mine.begin());
    return;
  }
  const auto count = static_cast<size_t>(ranks.size());
  const int64_t size = std::ssize(mine);
  TRIT_CHECK(std::ssize(sizes) == ranks.size() && sizes[static_cast<size_t>(ranks.rank())] == size);
  memory.resize(std::max(memory.size(), mine.size() * count));
  const std::span<float> all(memory.data(), mine.size() * count);
  std::vector<int64_t> out(count), in(count, size * kFloat);
  std::ranges::transform(sizes, out.begin(), [](int64_t n) { return n * kFloat; });
  ranks.all_to_all(std::as_bytes(values), out, std::as_writable_bytes(all), in);
  if (size == 0) return;
  sum_halves(all, ranks.size());
  std::copy_n(all.begin(), size, mine.begin());
}

std::vector<double> gather_numbers(Collectives& ranks, std::span<const double> mine) {
  std::vector<double> all(mine.size() * static_cast<size_t>(ranks.size()));
  ranks.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)));
  return all;
}

void all_reduce(Collectives& ranks, std::span<double> numbers) {
  const std::vector<double> all = gather_numbers(ranks, numbers);
  std::vector<double> parts(static_cast<size_t>(ranks.size()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    for (size_t r = 0; r < parts.size(); ++r) parts[r] = all[r * numbers.size() + i];
    numbers[i] = sum_halves(parts);
  }
}

}  // namespace trit
