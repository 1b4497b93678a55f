#include "text/train_bpe.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "text/byte_level.h"
#include "text/utf8.h"

namespace trit {
namespace {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
using WordCounts = std::unordered_map<std::string, int64_t, StringHash, std::equal_to<>>;

using Pair = std::pair<int32_t, int32_t>;
struct PairHash {
  size_t operator()(const Pair& pair) const {
    return splitmix64(uint64_t{static_cast<uint32_t>(pair.first)} << 32 |
                      static_cast<uint32_t>(pair.second));
  }
};

struct Word {
  std::vector<int32_t> symbols;
  int64_t count;
};

struct PairUse {
  int64_t count = 0;
  std::vector<uint32_t> words;  // where it occurred once; some may have lost it since
  bool merged = false;
};

struct Candidate {
  int64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {  // the queue's top is the greatest
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

WordCounts count_words(const DocumentSource& source, const TrainBpeOptions& options,
                       const TrainBpeProgress& progress) {
  const Splitter splitter(options.pattern, "tokenizer options");
  WordCounts counts;
  int64_t bytes = 0, reported = 0;
  source([&](std::string_view document) {
    if (bytes >= options.max_bytes) return;
    check_utf8(document, "document for tokenizer training");
    splitter.split(document, [&](std::string_view word) {
      const auto found = counts.find(word);
      if (found != counts.end()) {
        ++found->second;
      } else {
        counts.emplace(word, 1);
      }
    });
    bytes += static_cast<int64_t>(document.size());
    if (progress && bytes - reported >= 1 << 20) progress("counting words", reported = bytes, 0);
  });
  return counts;
}

// The vocabulary while it grows, and the words in its symbols.
class Trainer {
 public:
  Trainer(const WordCounts& counts, const TrainBpeOptions& options);
  // Adds the best merge; false when no pair is frequent enough.
  bool step();
  int32_t vocab_size() const { return static_cast<int32_t>(spec_.tokens.size()); }
  TokenizerSpec take_spec() { return std::move(spec_); }

 private:
  int32_t add_token(std::string bytes, TokenKind kind);
  int32_t merged_token(const Pair& pair);
  void count_pairs(const Word& word, int64_t sign);
  void merge_everywhere(const Pair& pair);
  void merge_in(uint32_t index, const Pair& pair, int32_t token);

  TokenizerSpec spec_;
  std::unordered_map<std::string, int32_t> normal_;
  std::vector<Word> words_;
  std::unordered_map<Pair, PairUse, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> grown_;  // pairs that the merge at hand has made
  int64_t min_frequency_;
};

Trainer::Trainer(const WordCounts& counts, const TrainBpeOptions& options)
    : min_frequency_(std::max<int64_t>(options.min_frequency, 1)) {
  for (const std::string& token : options.special_tokens) add_token(token, TokenKind::kSpecial);
  std::array<int32_t, 256> byte_ids{};
  for (const uint8_t byte : byte_level_order()) {
    byte_ids[byte] = add_token(std::string(1, static_cast<char>(byte)), TokenKind::kNormal);
  }
  words_.reserve(counts.size());
  for (const auto& [text, count] : counts) {
    Word word{{}, count};
    for (const char byte : text) word.symbols.push_back(byte_ids[static_cast<uint8_t>(byte)]);
    const auto index = static_cast<uint32_t>(words_.size());
    for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      std::vector<uint32_t>& users = pairs_[{word.symbols[i], word.symbols[i + 1]}].words;
      if (users.empty() || users.back() != index) users.push_back(index);
    }
    count_pairs(word, 1);
    words_.push_back(std::move(word));
  }
  for (const auto& [pair, use] : pairs_) queue_.push({use.count, pair});
}

int32_t Trainer::add_token(std::string bytes, TokenKind kind) {
  const int32_t id = vocab_size();
  if (kind == TokenKind::kNormal) normal_.emplace(bytes, id);
  spec_.tokens.push_back(std::move(bytes));
  spec_.kinds.push_back(kind);
  return id;
}

// Two different pairs may spell the same token; it is added once.
int32_t Trainer::merged_token(const Pair& pair) {
  std::string bytes = spec_.tokens[static_cast<size_t>(pair.first)] +
                      spec_.tokens[static_cast<size_t>(pair.second)];
  const auto found = normal_.find(bytes);
  return found != normal_.end() ? found->second : add_token(std::move(bytes), TokenKind::kNormal);
}

void Trainer::count_pairs(const Word& word, int64_t sign) {
  for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
    pairs_[{word.symbols[i], word.symbols[i + 1]}].count += sign * word.count;
  }
}

void Trainer::merge_in(uint32_t index, const Pair& pair, int32_t token) {
  Word& word = words_[index];
  count_pairs(word, -1);
  std::vector<int32_t>& symbols = word.symbols;
  size_t kept = 0;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const bool match =
        i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
    symbols[kept++] = match ? token : symbols[i];
    i += match;
  }
  symbols.resize(kept);
  count_pairs(word, 1);
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (symbols[i] != token && symbols[i + 1] != token) continue;
    const Pair made{symbols[i], symbols[i + 1]};
    std::vector<uint32_t>& users = pairs_[made].words;
    if (users.empty() || users.back() != index) users.push_back(index);
    grown_.push_back(made);
  }
}

bool Trainer::step() {
  while (!queue_.empty()) {
    const Candidate best = queue_.top();
    queue_.pop();
    const int64_t count = pairs_[best.pair].count;
    if (count != best.count) {  // its count has fallen since, or a newer entry stands for it
      if (count < best.count) queue_.push({count, best.pair});
      continue;
    }
    if (count < min_frequency_) return false;
    merge_everywhere(best.pair);
    return true;
  }
  return false;
}

void Trainer::merge_everywhere(const Pair& pair) {
  const int32_t token = merged_token(pair);
  PairUse& use = pairs_[pair];
  // A merged pair comes back when another one spells its left or right token.
  if (!use.merged) spec_.merges.push_back(pair);
  use.merged = true;
  const std::vector<uint32_t> users = std::exchange(use.words, {});
  grown_.clear();
  for (const uint32_t index : users) merge_in(index, pair, token);
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  for (const Pair& made : grown_) queue_.push({pairs_[made].count, made});
}

void check(const TrainBpeOptions& options) {
  const size_t least = 256 + options.special_tokens.size();
  if (options.vocab_size < 0 || static_cast<size_t>(options.vocab_size) < least) {
    bad_input("tokenizer options: vocab_size {} is less than {} (256 bytes and {} special tokens)",
              options.vocab_size, least, options.special_tokens.size());
  }
  if (options.max_bytes < 1) {
    bad_input("tokenizer options: max_bytes {} is less than 1", options.max_bytes);
  }
  const std::vector<std::string>& specials = options.special_tokens;
  for (auto token = specials.begin(); token != specials.end(); ++token) {
    check_utf8(*token, "tokenizer options: special token");
    if (token->empty() || std::find(specials.begin(), token, *token) != token) {
      bad_input("tokenizer options: special token '{}' is empty or given twice", *token);
    }
  }
}

}  // namespace

Tokenizer train_bpe(const DocumentSource& source, const TrainBpeOptions& options,
                    const TrainBpeProgress& progress) {
  check(options);
  const WordCounts counts = count_words(source, options, progress);
  if (counts.empty()) bad_input("tokenizer training: the corpus has no text");
  Trainer trainer(counts, options);
  while (trainer.vocab_size() < options.vocab_size && trainer.step()) {
    if (progress && trainer.vocab_size() % 64 == 0) {
      progress("merging", trainer.vocab_size(), options.vocab_size);
    }
  }
  TokenizerSpec spec = trainer.take_spec();
  spec.patterns = {options.pattern};
  if (!options.special_tokens.empty()) {
    spec.bos_id = spec.eos_id = 0;
    spec.add_bos = true;
  }
  return Tokenizer(std::move(spec), "trained tokenizer");
}

}  // namespace trit
