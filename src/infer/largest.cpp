#include "infer/largest.h"

#include <algorithm>
#include <limits>

namespace trit {

// What is below the last of the best so far is left out at once: a vocabulary of 128 thousand takes one pass.
void find_largest(std::span<const float> logits, int64_t count, std::vector<TokenLogit>& out) {
  out.clear();
  const size_t kept = std::min(static_cast<size_t>(count), logits.size());
  const size_t room = std::max<size_t>(2 * kept, 256);
  float least = -std::numeric_limits<float>::infinity();
  const auto cut = [&] {
    if (out.size() <= kept) return;
    const auto last = out.begin() + static_cast<std::ptrdiff_t>(kept) - 1;
    std::nth_element(out.begin(), last, out.end(), better);
    out.resize(kept);
    least = out.back().logit;
  };
  for (size_t i = 0; i < logits.size(); ++i) {
    // One that is equal to the least has a larger token than it.
    if (!(logits[i] > least) && out.size() >= kept) continue;
    out.push_back({logits[i], static_cast<int32_t>(i)});
    if (out.size() == room) cut();
  }
  cut();
}

}  // namespace trit
