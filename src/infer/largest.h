#pragma once
// The largest logits, where not all of them are at hand or wanted.

#include <cstdint>
#include <span>
#include <vector>

namespace trit {

struct TokenLogit {
  float logit = 0;
  int32_t token = 0;
  bool operator==(const TokenLogit&) const = default;
};

// The order of candidates: the larger logit first, of equal ones the smaller token.
inline bool better(const TokenLogit& a, const TokenLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// `out` becomes the `count` best of logits (all, when there are not more), in any order.
void find_largest(std::span<const float> logits, int64_t count, std::vector<TokenLogit>& out);

}  // namespace trit
