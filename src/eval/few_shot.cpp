#include "eval/few_shot.h"

#include <bit>
#include <numeric>
#include <set>
#include <utility>

#include "base/error.h"

namespace trit {

PythonRandom::PythonRandom(uint64_t seed) {
  constexpr size_t n = 624;
  const auto mix = [&](size_t i, uint32_t factor) {
    const uint32_t before = state_[i - 1];
    return state_[i] ^ ((before ^ (before >> 30)) * factor);
  };
  state_[0] = 19650218;
  for (uint32_t i = 1; i < n; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  const size_t keys = key[1] == 0 ? 1 : 2;
  size_t i = 1;
  const auto advance = [&] {
    if (++i < n) return;
    state_[0] = state_[n - 1];
    i = 1;
  };
  for (size_t k = 0; k < n; ++k, advance())
    state_[i] = mix(i, 1664525u) + key[k % keys] + static_cast<uint32_t>(k % keys);
  for (size_t k = 0; k < n - 1; ++k, advance())
    state_[i] = mix(i, 1566083941u) - static_cast<uint32_t>(i);
  state_[0] = 0x80000000u;
}

uint32_t PythonRandom::next() {
  constexpr size_t n = 624, m = 397;
  if (at_ == n) {
    for (size_t i = 0; i < n; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % n] & 0x7FFFFFFFu);
      state_[i] = state_[(i + m) % n] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908B0DFu : 0u);
    }
    at_ = 0;
  }
  uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

int64_t PythonRandom::below(int64_t n) {
  TRIT_CHECK(n > 0 && n < (int64_t{1} << 32));
  const int bits = std::bit_width(static_cast<uint64_t>(n));
  int64_t r = n;
  while (r >= n) r = next() >> (32 - bits);
  return r;
}

// Python chooses between two ways by what takes less memory there; they draw differently.
std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  TRIT_CHECK(k >= 0 && k <= n);
  int64_t set_size = 21;
  if (k > 5) {
    int64_t power = 1;
    while (power < 3 * k) power *= 4;  // 4 ** ceil(log(3 k, 4))
    set_size += power;
  }
  std::vector<int64_t> drawn;
  if (n <= set_size) {
    std::vector<int64_t> pool(static_cast<size_t>(n));
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < k; ++i) {
      int64_t& taken = pool[static_cast<size_t>(below(n - i))];
      drawn.push_back(std::exchange(taken, pool[static_cast<size_t>(n - i) - 1]));
    }
    return drawn;
  }
  std::set<int64_t> seen;
  while (std::ssize(drawn) < k) {
    const int64_t j = below(n);
    if (seen.insert(j).second) drawn.push_back(j);
  }
  return drawn;
}

}  // namespace trit
