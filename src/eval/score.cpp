#include "eval/score.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "eval/python_text.h"

namespace trit {
namespace {

constexpr int64_t kRows = 1024;                    // of a step
constexpr int64_t kCacheBytes = int64_t{1} << 29;  // for what texts have in common
constexpr int64_t kPositions = 32768;              // the same
constexpr int64_t kGroups = 64;                    // under way at a time

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool bos) {
  std::vector<int32_t> ids = tokenizer.encode(text, true);
  if (!bos || tokenizer.bos_id() < 0) return ids;
  if (!text.starts_with(tokenizer.token_bytes(tokenizer.bos_id())))
    ids.insert(ids.begin(), tokenizer.bos_id());
  return ids;
}

}  // namespace

Continuation encode_pair(const Tokenizer& tokenizer, std::string_view context,
                         std::string_view continuation, bool bos, std::string_view where) {
  const std::string_view kept = python_rstrip(context);
  const std::string scored = fmt::format("{}{}", context.substr(kept.size()), continuation);
  Continuation pair;
  if (kept.empty()) {
    const int32_t first = tokenizer.bos_id() >= 0 ? tokenizer.bos_id() : tokenizer.eos_id();
    pair.tokens = encode(tokenizer, scored, false);
    if (first < 0)
      bad_input("{}: the context is empty, and the tokenizer has no bos or eos to stand for it",
                where);
    pair.context = {first};
    if (!pair.tokens.empty() && pair.tokens[0] == first) pair.tokens.erase(pair.tokens.begin());
  } else {
    const std::vector<int32_t> whole = encode(tokenizer, fmt::format("{}{}", kept, scored), bos);
    pair.context = encode(tokenizer, kept, bos);
    if (whole.size() > pair.context.size())
      pair.tokens.assign(whole.begin() + std::ssize(pair.context), whole.end());
  }
  if (pair.tokens.empty() || pair.context.empty()) {
    bad_input("{}: no token is left for the {}", where,
              pair.tokens.empty() ? "continuation" : "context");
  }
  return pair;
}

void fit(Continuation& pair, int64_t most, std::string_view where) {
  if (std::ssize(pair.tokens) > most) {
    bad_input("{}: the continuation has {} tokens; the model's context has room for {}", where,
              pair.tokens.size(), most);
  }
  const int64_t over = std::ssize(pair.context) + std::ssize(pair.tokens) - 1 - most;
  if (over > 0) pair.context.erase(pair.context.begin(), pair.context.begin() + over);
}

namespace {

Request request_for(const Continuation& pair, bool greedy) {
  Request request;
  request.prompt = pair.context;
  request.prompt.insert(request.prompt.end(), pair.tokens.begin(), pair.tokens.end() - 1);
  request.max_tokens = 0;
  request.targets = pair.tokens;
  request.compare_greedy = greedy;
  return request;
}

ContinuationScore score_of(const Event& event) {
  if (event.end == StopReason::kFailed) failure("{}", event.error);
  ContinuationScore score{0, 0, true, event.reused};
  for (const TokenScore& token : event.scores) {
    const auto loss = static_cast<double>(token.loss);
    score.log_likelihood -= loss;
    score.squares += loss * loss;
    score.greedy = score.greedy && token.greedy;
  }
  return score;
}

// Of each group the first goes ahead, and the others follow when it is through and the cache has what they share.
class Run {
 public:
  using Each = std::function<void(size_t, const ContinuationScore&)>;
  Run(Backend& backend, std::span<const Continuation> all, bool greedy, const Each& each)
      : engine_(backend, {.max_sequences = kRows}), all_(all), greedy_(greedy), each_(each) {}

  void run() {
    while (next_ < all_.size() || groups_ > 0) {
      while (groups_ < kGroups && next_ < all_.size()) begin_group();
      for (const Event& event : engine_.step()) {
        if (event.end) finish(event);
      }
    }
  }

 private:
  struct Under {
    size_t index;
    size_t followers_end;  // of a leader; 0: none
  };

  void submit(size_t index, size_t followers_end) {
    running_.emplace(engine_.submit(request_for(all_[index], greedy_)),
                     Under{index, followers_end});
  }

  void begin_group() {
    const size_t first = next_;
    while (next_ < all_.size() && all_[next_].group == all_[first].group) ++next_;
    left_[all_[first].group] = next_ - first;
    ++groups_;
    submit(first, next_);
  }

  void finish(const Event& event) {
    const auto found = running_.find(event.id);
    const Under under = found->second;
    running_.erase(found);
    each_(under.index, score_of(event));
    for (size_t i = under.index + 1; i < under.followers_end; ++i) submit(i, 0);
    const auto group = left_.find(all_[under.index].group);
    if (--group->second > 0) return;
    left_.erase(group);
    --groups_;
  }

  Engine engine_;
  std::span<const Continuation> all_;
  bool greedy_;
  const Each& each_;
  std::map<RequestId, Under> running_;
  std::map<int64_t, size_t> left_;  // of each group under way
  size_t next_ = 0;
  int64_t groups_ = 0;
};

}  // namespace

Scorer::Scorer(Place& place, const Weights& weights, KvType kv_type, int64_t longest) {
  const int64_t each = kernels::pages_of(longest) * kernels::kPagePositions;
  const int64_t affordable =
      std::min(kPositions, kCacheBytes / kv_bytes_per_position(weights.config, kv_type));
  backend_ = place.backend(
      weights, {.kv_type = kv_type,
                .positions = std::max(2 * each, std::min(affordable, 2 * kGroups * each)),
                .max_rows = kRows});
}

void Scorer::score(std::span<const Continuation> all, bool greedy,
                   const std::function<void(size_t, const ContinuationScore&)>& each) {
  Run(*backend_, all, greedy, each).run();
}

}  // namespace trit
