#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/splitter.h"
#include "text/utf8.h"

namespace trit {
namespace {

constexpr size_t kMaxVocab = size_t{1} << 24;
constexpr size_t kMaxMerges = size_t{1} << 26;

size_t at(int32_t id) { return static_cast<size_t>(id); }

}  // namespace

std::string token_spelling(const TokenizerSpec& spec, int32_t id) {
  const std::string& token = spec.tokens[at(id)];
  return spec.kinds[at(id)] == TokenKind::kNormal ? to_byte_level(token) : token;
}

struct Tokenizer::Tables {
  Tables(TokenizerSpec parts, std::string_view where);

  void add_tokens(std::string_view where);
  void add_merges(std::string_view where);
  void check_role(const char* role, int32_t id, std::string_view where) const;
  const std::string& token(int32_t id) const { return spec.tokens[at(id)]; }
  std::vector<int32_t> symbols_of(std::string_view word) const;
  bool merges_reach(int32_t id, WordMerger& merger) const;
  int32_t added_at(std::string_view text, bool parse_special) const;
  void encode_words(std::string_view text, WordMerger& merger, std::vector<int32_t>& ids) const;

  TokenizerSpec spec;
  Splitter splitter;
  MergeTable merges;
  std::unordered_map<std::string_view, int32_t> normal;  // keys point into spec.tokens
  std::array<std::vector<int32_t>, 256> added;           // by first byte, the longest first
  std::array<int32_t, 256> byte_ids{};
  std::vector<bool> whole;  // by id: a word equal to this normal token becomes it at once
};

Tokenizer::Tables::Tables(TokenizerSpec parts, std::string_view where)
    : spec(std::move(parts)), splitter(spec.pattern, where), merges(spec.merges.size()) {
  if (spec.tokens.empty() || spec.tokens.size() > kMaxVocab || spec.merges.size() > kMaxMerges) {
    bad_input("{}: {} tokens and {} merges; at least 1 and at most {} and {} are possible", where,
              spec.tokens.size(), spec.merges.size(), kMaxVocab, kMaxMerges);
  }
  if (spec.kinds.size() != spec.tokens.size()) {
    bad_input("{}: {} token kinds for {} tokens", where, spec.kinds.size(), spec.tokens.size());
  }
  add_tokens(where);
  add_merges(where);
  check_role("bos", spec.bos_id, where);
  check_role("eos", spec.eos_id, where);
  check_role("pad", spec.pad_id, where);
  if (spec.add_bos && spec.bos_id < 0) bad_input("{}: add_bos is set, but there is no bos", where);
  WordMerger merger(merges);
  whole.resize(spec.tokens.size());
  for (const auto& [bytes, id] : normal) {
    whole[at(id)] = spec.ignore_merges || merges_reach(id, merger);
  }
}

void Tokenizer::Tables::add_tokens(std::string_view where) {
  std::unordered_map<std::string_view, int32_t> others;
  normal.reserve(spec.tokens.size());
  for (int32_t id = 0; at(id) < spec.tokens.size(); ++id) {
    const std::string& bytes = token(id);
    if (bytes.empty()) bad_input("{}: token {} is empty", where, id);
    const bool is_normal = spec.kinds[at(id)] == TokenKind::kNormal;
    const auto [other, is_new] = (is_normal ? normal : others).emplace(bytes, id);
    if (!is_new) {
      bad_input("{}: tokens {} and {} are both '{}'", where, other->second, id, printable(bytes));
    }
    if (!is_normal) {
      check_utf8(bytes, fmt::format("{}: added token {}", where, id));
      added[static_cast<uint8_t>(bytes[0])].push_back(id);
    }
  }
  for (auto& ids : added) {
    std::stable_sort(ids.begin(), ids.end(),
                     [this](int32_t a, int32_t b) { return token(a).size() > token(b).size(); });
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto found = normal.find(std::string(1, static_cast<char>(byte)));
    if (found == normal.end()) bad_input("{}: no token for the byte 0x{:02X}", where, byte);
    byte_ids[byte] = found->second;
  }
}

void Tokenizer::Tables::add_merges(std::string_view where) {
  const auto is_normal = [this](int32_t id) {
    return id >= 0 && at(id) < spec.tokens.size() && spec.kinds[at(id)] == TokenKind::kNormal;
  };
  std::string joined;
  for (int32_t rank = 0; at(rank) < spec.merges.size(); ++rank) {
    const auto [left, right] = spec.merges[at(rank)];
    if (!is_normal(left) || !is_normal(right)) {
      bad_input("{}: merge {} is of {} and {}; both must be ids of normal tokens", where, rank,
                left, right);
    }
    joined.assign(token(left)).append(token(right));
    const auto found = normal.find(joined);
    if (found == normal.end()) {
      bad_input("{}: merge {} gives '{}', which is no token", where, rank, printable(joined));
    }
    if (!merges.add(left, right, {rank, found->second})) {
      bad_input("{}: merge {} ('{}' and '{}') occurs twice", where, rank, printable(token(left)),
                printable(token(right)));
    }
  }
}

void Tokenizer::Tables::check_role(const char* role, int32_t id, std::string_view where) const {
  if (id >= -1 && id < static_cast<int32_t>(spec.tokens.size())) return;
  bad_input("{}: {} id {} is out of range [0, {})", where, role, id, spec.tokens.size());
}

std::vector<int32_t> Tokenizer::Tables::symbols_of(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  for (const char byte : word) symbols.push_back(byte_ids[static_cast<uint8_t>(byte)]);
  return symbols;
}

bool Tokenizer::Tables::merges_reach(int32_t id, WordMerger& merger) const {
  std::vector<int32_t> symbols = symbols_of(token(id));
  merger.merge(symbols);
  return symbols.size() == 1 && symbols[0] == id;
}

// The longest added token at the beginning of `text`, or -1.
int32_t Tokenizer::Tables::added_at(std::string_view text, bool parse_special) const {
  for (const int32_t id : added[static_cast<uint8_t>(text[0])]) {
    const bool cut = parse_special || spec.kinds[at(id)] == TokenKind::kAdded;
    if (cut && text.starts_with(token(id))) return id;
  }
  return -1;
}

void Tokenizer::Tables::encode_words(std::string_view text, WordMerger& merger,
                                     std::vector<int32_t>& ids) const {
  splitter.split(text, [&](std::string_view word) {
    const auto found = normal.find(word);
    if (found != normal.end() && whole[at(found->second)]) {
      ids.push_back(found->second);
      return;
    }
    std::vector<int32_t> symbols = symbols_of(word);
    merger.merge(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
  });
}

Tokenizer::Tokenizer(TokenizerSpec spec, std::string_view where)
    : tables_(std::make_shared<const Tables>(std::move(spec), where)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, bool parse_special) const {
  if (utf8.size() > kMaxTextBytes) {
    bad_input("text: {} bytes, more than {} at once", utf8.size(), kMaxTextBytes);
  }
  check_utf8(utf8, "text");
  std::vector<int32_t> ids;
  WordMerger merger(tables_->merges);
  size_t begin = 0;
  for (size_t i = 0; i < utf8.size();) {
    const int32_t id = tables_->added_at(utf8.substr(i), parse_special);
    if (id < 0) {
      ++i;
      continue;
    }
    tables_->encode_words(utf8.substr(begin, i - begin), merger, ids);
    ids.push_back(id);
    begin = i += tables_->token(id).size();
  }
  tables_->encode_words(utf8.substr(begin), merger, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!(skip_special && is_special(id))) bytes += token_bytes(id);
  }
  return take_utf8(bytes, true);
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(spec().tokens.size()); }

std::optional<int32_t> Tokenizer::find(std::string_view token) const {
  if (token.empty()) return std::nullopt;
  for (const int32_t id : tables_->added[static_cast<uint8_t>(token[0])]) {
    if (tables_->token(id) == token) return id;
  }
  const auto found = tables_->normal.find(token);
  if (found == tables_->normal.end()) return std::nullopt;
  return found->second;
}

const std::string& Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    bad_input("token id {} is out of range [0, {})", id, vocab_size());
  }
  return tables_->token(id);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && spec().kinds[at(id)] == TokenKind::kSpecial;
}

bool Tokenizer::merges_reach_all_tokens() const {
  WordMerger merger(tables_->merges);
  return std::all_of(tables_->normal.begin(), tables_->normal.end(), [&](const auto& entry) {
    return tables_->merges_reach(entry.second, merger);
  });
}

const TokenizerSpec& Tokenizer::spec() const { return tables_->spec; }

std::string StreamDecoder::push(int32_t id) {
  if (!(skip_special_ && tokenizer_.is_special(id))) held_ += tokenizer_.token_bytes(id);
  return take_utf8(held_, false);
}

std::string StreamDecoder::flush() { return take_utf8(held_, true); }

}  // namespace trit
