#include "eval/whole_text.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/kv.h"

namespace trit {

namespace {
constexpr int64_t kRows = 2048;  // of a pass, about
}

WindowRoom room_for_windows(int64_t tokens, int64_t window) {
  const int64_t windows = (tokens + window - 1) / window;
  const int64_t at_once = std::clamp<int64_t>(kRows / window, 1, windows);
  return {at_once * kernels::pages_of(window) * kernels::kPagePositions,
          std::min(kRows, at_once * window)};
}

void run_windows(
    Backend& backend, std::span<const int32_t> tokens, int64_t window,
    const std::function<void(int64_t first, std::span<const int64_t> rows)>& after_pass) {
  const int64_t at_once = std::max<int64_t>(1, backend.max_rows() / window);
  const auto each =
      static_cast<size_t>((window + backend.page_positions() - 1) / backend.page_positions());
  TRIT_CHECK(static_cast<int64_t>(each) <= backend.pages());
  std::vector<PageId> pages(static_cast<size_t>(backend.pages()));
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<PageTable> tables;
  for (size_t at = 0; at + each <= pages.size() && std::ssize(tables) < at_once; at += each)
    tables.push_back(PageTable(pages).subspan(at, each));

  std::vector<TokenSlot> slots;
  std::vector<int64_t> rows;
  const auto count = std::ssize(tokens), together = std::ssize(tables) * window;
  for (int64_t first = 0, end = 0; first < count; first = end) {
    // Whole windows, or a piece of one.
    const int64_t last = first / window * window + together;
    end = std::min({count, last, first + backend.max_rows()});
    slots.clear();
    for (int64_t t = first; t < end; ++t) {
      slots.push_back({static_cast<int32_t>(t / window % std::ssize(tables)),
                       static_cast<int32_t>(t % window)});
    }
    rows.resize(static_cast<size_t>(end - first));
    std::iota(rows.begin(), rows.end(), 0);
    backend.run({tokens.subspan(static_cast<size_t>(first), rows.size()), slots, tables});
    after_pass(first, rows);
  }
}

}  // namespace trit
