#pragma once
// Which solved examples stand before a question: drawn as the harness draws them, so that prompts are the same.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trit {

// Python's random.Random(seed): the Mersenne Twister MT19937 (Matsumoto, Nishimura 1998), seeded by init_by_array.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  uint32_t next();           // 32 random bits: getrandbits(32)
  int64_t below(int64_t n);  // _randbelow(n), for 0 < n < 2^32
  // sample(range(n), k): k different numbers below n, k <= n.
  std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  std::array<uint32_t, 624> state_;
  size_t at_ = 624;
};

}  // namespace trit
