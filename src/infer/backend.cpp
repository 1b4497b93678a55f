#include "infer/backend.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"

namespace trit {

void Backend::top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
  const int64_t vocabulary = config().vocabulary, count = std::ssize(rows);
  TRIT_CHECK(k > 0 && k <= vocabulary && std::ssize(out) == count * k);
  if (std::ssize(top_logits_) < count * vocabulary)
    top_logits_ = Buffer<float>(static_cast<size_t>(count * vocabulary));
  const Matrix all{top_logits_.data(), count, vocabulary};
  logits(rows, all);
  parallel_for(count, [&](int64_t i) {
    std::vector<TokenLogit> largest;
    find_largest({all.row(i), static_cast<size_t>(vocabulary)}, k, largest);
    std::ranges::sort(largest, better);
    std::ranges::copy(largest, out.begin() + i * k);
  });
}

}  // namespace trit
