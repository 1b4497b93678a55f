#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "ops/loss.h"

namespace trit {

namespace {
constexpr int64_t kRows = 2048;  // tokens of one forward pass, about
}

double PerplexityReport::perplexity() const { return std::exp(loss()); }

PerplexityReport perplexity(const Weights& weights, std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t)>& progress) {
  const Config& c = weights.config;
  const int64_t predicted = static_cast<int64_t>(tokens.size()) - 1;
  if (predicted < 1)
    bad_input("the text has {} tokens; perplexity needs at least 2", tokens.size());
  window = std::min({window, c.context, predicted});
  const int64_t windows = (predicted + window - 1) / window;
  const int64_t at_once = std::min(windows, std::max<int64_t>(1, kRows / window));

  State state(c, Pass::kWhole, at_once, window, at_once * window);
  state.workspace.training = true;  // windows are long: let the BLAS have the plain products

  PerplexityReport report;
  const Timer timer;
  std::vector<float> losses(static_cast<size_t>(at_once * window));
  std::vector<TokenSlot> slots;
  for (int64_t first = 0; first < windows; first += at_once) {
    const int64_t begin = first * window, rows = std::min(at_once * window, predicted - begin);
    slots.clear();
    for (int64_t i = 0; i < rows; ++i) {
      slots.push_back({static_cast<int32_t>(i / window), static_cast<int32_t>(i % window)});
    }
    const auto part = [&](int64_t from) {
      return tokens.subspan(static_cast<size_t>(from), static_cast<size_t>(rows));
    };
    forward(weights, {part(begin), slots}, state);
    head_loss(weights.head, state.hidden, part(begin + 1), losses.data(), state.workspace);
    for (int64_t i = 0; i < rows; ++i)
      report.nats += static_cast<double>(losses[static_cast<size_t>(i)]);
    report.tokens += rows;
    if (progress) progress(report.tokens);
  }
  report.seconds = timer.seconds();
  return report;
}

}  // namespace trit
