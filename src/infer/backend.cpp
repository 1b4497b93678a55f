#include "infer/backend.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {

Matrix Backend::all_logits(std::span<const int64_t> rows) {
  const int64_t vocabulary = config().vocabulary, count = std::ssize(rows);
  if (std::ssize(all_logits_) < count * vocabulary)
    all_logits_ = Buffer<float>(static_cast<size_t>(count * vocabulary));
  const Matrix all{all_logits_.data(), count, vocabulary};
  logits(rows, all);
  return all;
}

void Backend::top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
  const int64_t vocabulary = config().vocabulary, count = std::ssize(rows);
  TRIT_CHECK(k > 0 && k <= vocabulary && std::ssize(out) == count * k);
  const Matrix all = all_logits(rows);
  parallel_for(count, [&](int64_t i) {
    std::vector<TokenLogit> largest;
    find_largest({all.row(i), static_cast<size_t>(vocabulary)}, k, largest);
    std::ranges::sort(largest, better);
    std::ranges::copy(largest, out.begin() + i * k);
  });
}

void Backend::losses(std::span<const int64_t> rows, std::span<const int32_t> targets,
                     std::span<float> out) {
  TRIT_CHECK(rows.size() == targets.size() && rows.size() == out.size());
  for (const int32_t target : targets) {
    if (target < 0 || target >= config().vocabulary)
      bad_input("target token {}: the model's vocabulary has ids 0 to {}", target,
                config().vocabulary - 1);
  }
  find_losses(rows, targets, out);
}

void Backend::find_losses(std::span<const int64_t> rows, std::span<const int32_t> targets,
                          std::span<float> out) {
  constexpr size_t kRows = 512;  // whose logits exist at a time
  for (size_t first = 0; first < rows.size(); first += kRows) {
    const Matrix all = all_logits(rows.subspan(first, std::min(kRows, rows.size() - first)));
    parallel_for(all.rows, [&](int64_t i) {
      const size_t at = first + static_cast<size_t>(i);
      out[at] = kernels::active().cross_entropy(all.row(i), all.columns, targets[at], 0.0f);
    });
  }
}

}  // namespace trit
