#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "eval/whole_text.h"
#include "ops/loss.h"

namespace trit {

namespace {
constexpr int64_t kRows = 2048;  // tokens of one forward pass, about
}

double PerplexityReport::perplexity() const { return std::exp(loss()); }

namespace {

// The window that there are context and tokens for.
int64_t window_for(const Config& config, std::span<const int32_t> tokens, int64_t window) {
  if (tokens.size() < 2)
    bad_input("the text has {} tokens; perplexity needs at least 2", tokens.size());
  return std::min({window, config.context, std::ssize(tokens) - 1});
}

double sum(std::span<const float> losses) {
  double nats = 0;
  for (const float loss : losses) nats += static_cast<double>(loss);
  return nats;
}

}  // namespace

PerplexityReport perplexity(const Weights& weights, std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t)>& progress) {
  const Config& c = weights.config;
  window = window_for(c, tokens, window);
  const int64_t predicted = std::ssize(tokens) - 1;
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
    report.nats += sum(std::span(losses).first(static_cast<size_t>(rows)));
    report.tokens += rows;
    if (progress) progress(report.tokens);
  }
  report.seconds = timer.seconds();
  return report;
}

PerplexityReport perplexity(Place& place, const Weights& weights, KvType kv_type,
                            std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t)>& progress) {
  window = window_for(weights.config, tokens, window);
  const auto inputs = tokens.first(tokens.size() - 1), targets = tokens.subspan(1);
  const WindowRoom room = room_for_windows(std::ssize(inputs), window);
  const auto backend = place.backend(
      weights, {.kv_type = kv_type, .positions = room.positions, .max_rows = room.max_rows});
  PerplexityReport report;
  const Timer timer;
  std::vector<float> losses;
  run_windows(*backend, inputs, window, [&](int64_t first, std::span<const int64_t> rows) {
    losses.resize(rows.size());
    backend->losses(rows, targets.subspan(static_cast<size_t>(first), rows.size()), losses);
    report.nats += sum(losses);
    report.tokens += std::ssize(rows);
    if (progress) progress(report.tokens);
  });
  report.seconds = timer.seconds();
  return report;
}

}  // namespace trit
