#include "eval/text_perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "base/rng.h"
#include "base/timer.h"
#include "eval/partial_result.h"
#include "eval/perplexity_windows.h"

namespace trit {
namespace {

constexpr int64_t kLlamaCppContext = 512;
constexpr int64_t kTokensAtOnce = 65536;  // that are scored together, about

struct Named {
  std::string_view name;
  PerplexityConvention convention;
};
constexpr Named kConventions[] = {{"strided", PerplexityConvention::kStrided},
                                  {"llama.cpp", PerplexityConvention::kLlamaCpp},
                                  {"harness", PerplexityConvention::kHarness}};

std::string_view name_of(PerplexityConvention convention) {
  return std::ranges::find(kConventions, convention, &Named::convention)->name;
}

void choose_lengths(const Config& config, const TextPerplexityOptions& options,
                    TextPerplexity& result) {
  const bool llama_cpp = options.convention == PerplexityConvention::kLlamaCpp;
  result.context = options.context;
  if (result.context == 0)
    result.context = llama_cpp ? std::min(kLlamaCppContext, config.context) : config.context;
  if (result.context < 4 || result.context > config.context) {
    bad_input("context: {} is out of range; for this model it must be 4 to {}", result.context,
              config.context);
  }
  if (options.convention != PerplexityConvention::kStrided) {
    if (options.stride != 0) bad_input("stride: only the strided convention has one");
    result.stride = result.context;
    return;
  }
  result.stride = options.stride == 0 ? result.context / 2 : options.stride;
  if (result.stride < 1 || result.stride > result.context) {
    bad_input("stride: {} is out of range; it must be 1 to the context, {}", result.stride,
              result.context);
  }
}

// ---- The plan ----

struct Planned {
  size_t text;
  PerplexityWindow window;
};

class Plan {
 public:
  Plan(std::span<const TokenText> texts, const Tokenizer& tokenizer, PerplexityPrefix prefix,
       PerplexityConvention convention, int64_t context, int64_t stride)
      : texts_(texts), tokenizer_(tokenizer), prefix_(std::move(prefix)) {
    for (size_t t = 0; t < texts.size(); ++t) {
      const int64_t tokens = std::ssize(prefix_.before) + std::ssize(texts[t].tokens);
      for (const PerplexityWindow& window : windows_of(convention, tokens, context, stride))
        windows_.push_back({t, window});
    }
  }

  const std::vector<Planned>& windows() const { return windows_; }
  int64_t tokens() const {
    int64_t sum = 0;
    for (const Planned& w : windows_) sum += w.window.scored;
    return sum;
  }

  Continuation continuation(size_t index) const {
    const auto& [text, window] = windows_[index];
    std::vector<int32_t> all;
    for (int64_t i = window.begin; i < window.end; ++i) all.push_back(token(text, i));
    if (prefix_.first >= 0) all[0] = prefix_.first;
    const auto cut = all.end() - window.scored;
    return {{all.begin(), cut}, {cut, all.end()}, static_cast<int64_t>(index)};
  }

  // UTF-8 bytes that the window's scored tokens stand for.
  int64_t scored_bytes(size_t index) const {
    const auto& [text, window] = windows_[index];
    int64_t bytes = 0;
    for (int64_t i = window.end - window.scored; i < window.end; ++i)
      bytes += bytes_of(token(text, i));
    return bytes;
  }
  int64_t all_bytes() const {
    int64_t bytes = 0;
    for (const TokenText& text : texts_) {
      for (const int32_t id : text.tokens) bytes += bytes_of(id);
    }
    return bytes;
  }

  // The same for the same texts.
  uint64_t hash() const {
    uint64_t hash = 0;
    for (const TokenText& text : texts_) {
      hash = splitmix64(hash ^ text.tokens.size());
      for (const int32_t id : text.tokens) hash = splitmix64(hash ^ static_cast<uint32_t>(id));
    }
    return hash;
  }

 private:
  int32_t token(size_t text, int64_t i) const {
    const int64_t before = std::ssize(prefix_.before);
    return i < before ? prefix_.before[static_cast<size_t>(i)]
                      : texts_[text].tokens[static_cast<size_t>(i - before)];
  }
  int64_t bytes_of(int32_t id) const {
    return tokenizer_.is_special(id) ? 0 : std::ssize(tokenizer_.token_bytes(id));
  }

  std::span<const TokenText> texts_;
  const Tokenizer& tokenizer_;
  PerplexityPrefix prefix_;
  std::vector<Planned> windows_;
};

// ---- The figures ----

// The standard error of sum(nats) / sum(tokens), a ratio of two sums over clusters (linearised).
class Clusters {
 public:
  void add(double nats, int64_t tokens) { all_.push_back({nats, static_cast<double>(tokens)}); }
  double standard_error() const {
    if (all_.size() < 2) return std::numeric_limits<double>::quiet_NaN();
    const auto count = static_cast<double>(all_.size());
    double nats = 0, tokens = 0, squares = 0;
    for (const auto& [n, t] : all_) nats += n, tokens += t;
    for (const auto& [n, t] : all_) squares += (n - nats / tokens * t) * (n - nats / tokens * t);
    return std::sqrt(count / (count - 1) * squares) / tokens;
  }

 private:
  std::vector<std::pair<double, double>> all_;
};

void sum_up(const Plan& plan, const PartialResult& results, std::span<const TokenText> texts,
            TextPerplexity& out) {
  const std::vector<Planned>& windows = plan.windows();
  Clusters by_window, by_text;
  double squares = 0, text_nats = 0;
  int64_t bytes = 0, text_tokens = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    const WindowResult& result = *results[i];
    const int64_t scored = windows[i].window.scored;
    out.nats += result.nats;
    squares += result.squares;
    bytes += plan.scored_bytes(i);
    by_window.add(result.nats, scored);
    text_nats += result.nats;
    text_tokens += scored;
    if (i + 1 < windows.size() && windows[i + 1].text == windows[i].text) continue;
    by_text.add(text_nats, text_tokens);
    text_nats = 0;
    text_tokens = 0;
    ++out.documents;
  }
  out.tokens = plan.tokens();
  out.windows = std::ssize(windows);
  out.over_documents = out.documents > 1;
  out.standard_error = (out.over_documents ? by_text : by_window).standard_error();
  const auto n = static_cast<double>(out.tokens);
  out.token_standard_error = std::sqrt((squares / n - out.loss() * out.loss()) / (n - 1));
  int64_t all_words = 0, all_bytes = 0;
  bool words_known = true;
  for (const TokenText& text : texts) {
    all_bytes += text.bytes;
    all_words += text.words;
    words_known = words_known && text.words >= 0;
  }
  const double share =
      static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(1, plan.all_bytes()));
  out.bytes = share * static_cast<double>(all_bytes);
  if (words_known) out.words = share * static_cast<double>(all_words);
}

}  // namespace

PerplexityConvention convention_from(std::string_view name) {
  const auto* found = std::ranges::find(kConventions, name, &Named::name);
  if (found != std::end(kConventions)) return found->convention;
  bad_input("'{}' is no convention; there are strided, llama.cpp and harness", printable(name));
}

double TextPerplexity::perplexity() const { return std::exp(loss()); }
double TextPerplexity::word_perplexity() const {
  return words > 0 ? std::exp(nats / words) : std::numeric_limits<double>::quiet_NaN();
}
double TextPerplexity::byte_perplexity() const { return std::exp(nats / bytes); }
double TextPerplexity::bits_per_byte() const { return nats / bytes / std::numbers::ln2; }
double TextPerplexity::low() const { return std::exp(loss() - 1.96 * standard_error); }
double TextPerplexity::high() const { return std::exp(loss() + 1.96 * standard_error); }

TextPerplexity text_perplexity(Place& place, const Weights& weights, const Tokenizer& tokenizer,
                               std::span<const TokenText> texts,
                               const TextPerplexityOptions& options) {
  TextPerplexity out;
  choose_lengths(weights.config, options, out);
  const Plan plan(texts, tokenizer, prefix_of(options.convention, tokenizer, options.bos),
                  options.convention, out.context, out.stride);
  const std::vector<Planned>& windows = plan.windows();
  const int64_t all = plan.tokens();
  if (all == 0) {
    bad_input(
        "there is no token to score: texts need 2 tokens at least, or {} in llama.cpp's convention",
        out.context);
  }
  const OrderedJson header = {{"trit_perplexity", 1},
                              {"model", options.model},
                              {"convention", name_of(options.convention)},
                              {"context", out.context},
                              {"stride", out.stride},
                              {"bos", options.bos},
                              {"kv_type", std::string(to_string(options.kv_type))},
                              {"scored_tokens", all},
                              {"text_hash", fmt::format("{:016x}", plan.hash())}};
  PartialResult results(options.resume, header, windows.size());
  out.resumed = results.found();
  const Timer timer;
  Scorer scorer(place, weights, options.kv_type, out.context);
  int64_t done = 0;
  std::vector<Continuation> pairs;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (results[i]) {
      done += windows[i].window.scored;
    } else {
      pairs.push_back(plan.continuation(i));
      numbers.push_back(i);
    }
    const bool enough = std::ssize(pairs) * out.context >= kTokensAtOnce;
    if (pairs.empty() || (i + 1 < windows.size() && !enough)) continue;
    scorer.score(pairs, false, [&](size_t k, const ContinuationScore& score) {
      results.add(numbers[k], {-score.log_likelihood, score.squares});
      done += std::ssize(pairs[k].tokens);
      if (options.progress) options.progress(done, all);
    });
    pairs.clear();
    numbers.clear();
  }
  sum_up(plan, results, texts, out);
  out.seconds = timer.seconds();
  return out;
}

}  // namespace trit
