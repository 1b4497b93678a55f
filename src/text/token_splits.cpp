#include "text/token_splits.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"

namespace trit {
namespace {

constexpr size_t kMaxTokenBytes = 1024;  // there are as many splits to look up as bytes

size_t at(int32_t id) { return static_cast<size_t>(id); }

using Ids = std::unordered_map<std::string_view, int32_t>;

Ids normal_tokens(const TokenizerSpec& spec) {
  Ids ids;
  ids.reserve(spec.tokens.size());
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.kinds[id] == TokenKind::kNormal)
      ids.emplace(spec.tokens[id], static_cast<int32_t>(id));
  }
  return ids;
}

}  // namespace

std::vector<TokenSplit> token_splits(const TokenizerSpec& spec, std::string_view where) {
  const Ids ids = normal_tokens(spec);
  std::vector<TokenSplit> splits;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.kinds[id] != TokenKind::kNormal) continue;
    const std::string_view token = spec.tokens[id];
    if (token.size() > kMaxTokenBytes) {
      bad_input("{}: token {} has {} bytes, more than {}", where, id, token.size(), kMaxTokenBytes);
    }
    for (size_t i = 1; i < token.size(); ++i) {
      const auto left = ids.find(token.substr(0, i));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(i));
      if (right == ids.end()) continue;
      splits.push_back({left->second, right->second, static_cast<int32_t>(id)});
    }
  }
  return splits;
}

std::vector<int32_t> score_ranks(std::span<const float> scores, std::string_view where) {
  std::vector<float> distinct(scores.begin(), scores.end());
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!std::isfinite(scores[id])) bad_input("{}: the score of token {} is not finite", where, id);
  }
  std::sort(distinct.begin(), distinct.end(), std::greater<>());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<int32_t> ranks;
  for (const float score : scores) {
    const auto place = std::lower_bound(distinct.begin(), distinct.end(), score, std::greater<>());
    ranks.push_back(static_cast<int32_t>(place - distinct.begin()));
  }
  return ranks;
}

std::vector<std::pair<int32_t, int32_t>> merges_by_rank(const TokenizerSpec& spec,
                                                        std::span<const int32_t> ranks,
                                                        std::string_view where) {
  std::vector<TokenSplit> splits = token_splits(spec, where);
  const bool by_length = spec.model == TokenizerModel::kSentencePiece;
  std::sort(splits.begin(), splits.end(), [&](const TokenSplit& a, const TokenSplit& b) {
    if (ranks[at(a.token)] != ranks[at(b.token)]) return ranks[at(a.token)] < ranks[at(b.token)];
    const size_t length_a = spec.tokens[at(a.left)].size();
    const size_t length_b = spec.tokens[at(b.left)].size();
    if (by_length && length_a != length_b) return length_a > length_b;
    return std::pair(a.left, a.right) < std::pair(b.left, b.right);
  });
  std::vector<std::pair<int32_t, int32_t>> merges;
  for (const TokenSplit& split : splits) merges.emplace_back(split.left, split.right);
  return merges;
}

std::vector<float> scores_of_merges(const TokenizerSpec& spec, std::string_view where) {
  const Ids ids = normal_tokens(spec);
  std::vector<float> scores(spec.tokens.size(), 0);
  std::vector<bool> made(spec.tokens.size(), false);
  int32_t last = -1;
  float score = 0;
  std::string joined;
  for (const auto& [left, right] : spec.merges) {
    joined.assign(spec.tokens[at(left)]).append(spec.tokens[at(right)]);
    const int32_t token = ids.at(joined);
    if (token == last) continue;
    if (made[at(token)]) {
      bad_input("{}: merges that make '{}' stand apart, which scores cannot say", where,
                printable(joined));
    }
    made[at(token)] = true;
    scores[at(token)] = score -= 1;
    last = token;
  }
  const size_t implied = token_splits(spec, where).size();
  if (implied != spec.merges.size()) {
    bad_input("{}: {} merges where scores imply {}", where, spec.merges.size(), implied);
  }
  // Single characters come last, as SentencePiece writes them.
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!made[id] && spec.kinds[id] == TokenKind::kNormal) scores[id] = score -= 1;
  }
  return scores;
}

}  // namespace trit
