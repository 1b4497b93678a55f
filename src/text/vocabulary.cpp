#include "text/vocabulary.h"

#include "base/error.h"
#include "text/token_splits.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trit {
namespace {

constexpr size_t kMaxVocab = size_t{1} << 24;
constexpr size_t kMaxMerges = size_t{1} << 26;

bool has_inner_space(std::string_view token) {
  const size_t word = token.find_first_not_of(' ');
  return word != token.npos && token.find(' ', word) != token.npos;
}

}  // namespace

Vocabulary::Vocabulary(const TokenizerSpec& spec, std::string_view where)
    : spec_(spec), normal_(spec.tokens) {
  check_sizes(where);
  add_tokens(where);
  spec_.scores.empty() ? add_merges(where) : add_scored_merges(where);
}

void Vocabulary::check_sizes(std::string_view where) const {
  if (spec_.tokens.empty() || spec_.tokens.size() > kMaxVocab || spec_.merges.size() > kMaxMerges) {
    bad_input("{}: {} tokens and {} merges; at least 1 and at most {} and {} are possible", where,
              spec_.tokens.size(), spec_.merges.size(), kMaxVocab, kMaxMerges);
  }
  if (spec_.kinds.size() != spec_.tokens.size()) {
    bad_input("{}: {} token kinds for {} tokens", where, spec_.kinds.size(), spec_.tokens.size());
  }
  if (spec_.scores.empty()) return;
  if (spec_.model != TokenizerModel::kSentencePiece || !spec_.merges.empty()) {
    bad_input("{}: scores are for SentencePiece, and then there are no merges", where);
  }
  if (spec_.scores.size() != spec_.tokens.size()) {
    bad_input("{}: {} scores for {} tokens", where, spec_.scores.size(), spec_.tokens.size());
  }
}

void Vocabulary::add_tokens(std::string_view where) {
  byte_ids_.fill(-1);
  const bool characters = spec_.model == TokenizerModel::kSentencePiece;
  for (int32_t id = 0; static_cast<size_t>(id) < spec_.tokens.size(); ++id) {
    const std::string& bytes = token(id);
    const TokenKind kind = spec_.kinds[static_cast<size_t>(id)];
    if (bytes.empty()) bad_input("{}: token {} is empty", where, id);
    if (kind == TokenKind::kByte) check_byte(id, where);
    if (kind != TokenKind::kNormal) continue;
    const int32_t other = normal_.add(id);
    if (other != id) {
      bad_input("{}: tokens {} and {} are both '{}'", where, other, id, printable(bytes));
    }
    if (characters) {
      check_utf8(bytes, fmt::format("{}: token {}", where, id));
      crosses_spaces_ = crosses_spaces_ || has_inner_space(bytes);
    } else if (bytes.size() == 1) {
      byte_ids_[static_cast<uint8_t>(bytes[0])] = id;
    }
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (byte_ids_[byte] < 0) bad_input("{}: no token for the byte 0x{:02X}", where, byte);
  }
  for (size_t c = 0; c < 128; ++c) {
    const int32_t id = normal_.find(std::string(1, static_cast<char>(c)));
    ascii_ids_[c] = id >= 0 ? id : byte_ids_[c];
  }
}

void Vocabulary::check_byte(int32_t id, std::string_view where) {
  if (spec_.model != TokenizerModel::kSentencePiece || token(id).size() != 1) {
    bad_input("{}: token {} cannot be a byte of a character without a token", where, id);
  }
  int32_t& place = byte_ids_[static_cast<uint8_t>(token(id)[0])];
  if (place >= 0) bad_input("{}: tokens {} and {} are the same byte", where, place, id);
  place = id;
}

void Vocabulary::add_merges(std::string_view where) {
  merges_ = MergeTable(spec_.merges.size());
  const auto is_normal = [this](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < spec_.tokens.size() &&
           spec_.kinds[static_cast<size_t>(id)] == TokenKind::kNormal;
  };
  std::string joined;
  for (int32_t rank = 0; static_cast<size_t>(rank) < spec_.merges.size(); ++rank) {
    const auto [left, right] = spec_.merges[static_cast<size_t>(rank)];
    if (!is_normal(left) || !is_normal(right)) {
      bad_input("{}: merge {} is of {} and {}; both must be ids of normal tokens", where, rank,
                left, right);
    }
    joined.assign(token(left)).append(token(right));
    const int32_t made = normal_.find(joined);
    if (made < 0) {
      bad_input("{}: merge {} gives '{}', which is no token", where, rank, printable(joined));
    }
    if (!merges_.add(left, right, {rank, made})) {
      bad_input("{}: merge {} ('{}' and '{}') occurs twice", where, rank, printable(token(left)),
                printable(token(right)));
    }
  }
}

void Vocabulary::add_scored_merges(std::string_view where) {
  const std::vector<TokenSplit> splits = token_splits(spec_, where);
  const std::vector<int32_t> ranks = score_ranks(spec_.scores, where);
  merges_ = MergeTable(splits.size());
  for (const TokenSplit& split : splits) {
    merges_.add(split.left, split.right, {ranks[static_cast<size_t>(split.token)], split.token});
  }
}

// Bytes, or characters with U+2581 as the space that it is.
std::vector<int32_t> Vocabulary::symbols_of(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  const bool characters = spec_.model == TokenizerModel::kSentencePiece;
  for (size_t i = 0; i < word.size();) {
    const size_t bytes = characters ? character_at(word, i).bytes : 1;
    const std::string_view symbol = word.substr(i, bytes);
    i += bytes;
    if (characters && bytes == 1) {
      symbols.push_back(ascii_ids_[static_cast<uint8_t>(symbol[0])]);
      continue;
    }
    if (characters) {
      const int32_t id = normal_.find(symbol == kSpaceSymbol ? " " : symbol);
      if (id >= 0) {
        symbols.push_back(id);
        continue;
      }
    }
    for (const char byte : symbol) symbols.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  }
  return symbols;
}

void Vocabulary::encode(std::string_view word, WordMerger& merger,
                        std::vector<int32_t>& ids) const {
  if (spec_.ignore_merges) {
    const int32_t id = normal_.find(word);
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
  }
  std::vector<int32_t> symbols = symbols_of(word);
  merger.merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

int32_t Vocabulary::find(std::string_view bytes) const {
  const int32_t id = normal_.find(bytes);
  if (id >= 0) return id;
  return bytes.size() == 1 ? byte_ids_[static_cast<uint8_t>(bytes[0])] : -1;
}

bool Vocabulary::merges_reach(int32_t id, WordMerger& merger) const {
  std::vector<int32_t> symbols = symbols_of(token(id));
  merger.merge(symbols);
  return symbols.size() == 1 && symbols[0] == id;
}

bool Vocabulary::merges_reach_all() const {
  WordMerger merger(merges_);
  for (int32_t id = 0; static_cast<size_t>(id) < spec_.tokens.size(); ++id) {
    const bool normal = spec_.kinds[static_cast<size_t>(id)] == TokenKind::kNormal;
    if (normal && !merges_reach(id, merger)) return false;
  }
  return true;
}

}  // namespace trit
