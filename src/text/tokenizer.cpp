#include "text/tokenizer.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/byte_level.h"
#include "text/splitter.h"
#include "text/token_splits.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace trit {
namespace {

std::vector<Splitter> splitters_of(const TokenizerSpec& spec, std::string_view where) {
  const bool byte_level = spec.model == TokenizerModel::kByteLevel;
  if (spec.patterns.empty() == byte_level) {
    bad_input("{}: {} patterns; byte-level BPE has some, SentencePiece none", where,
              spec.patterns.size());
  }
  if (byte_level ? spec.space_prefix != SpacePrefix::kNone : spec.nfc) {
    bad_input("{}: a space prefix is for SentencePiece, a normal form for byte-level BPE", where);
  }
  std::vector<Splitter> splitters;
  for (const std::string& pattern : spec.patterns) splitters.emplace_back(pattern, where);
  return splitters;
}

std::string with_space_symbols(std::string_view token) {
  std::string spelled;
  for (const char c : token) c == ' ' ? spelled += kSpaceSymbol : spelled += c;
  return spelled;
}

// U+2581 is a space to SentencePiece; `copy` holds the text where it has to change.
std::string_view with_plain_spaces(std::string_view text, std::string& copy) {
  if (text.find(kSpaceSymbol) == text.npos) return text;
  for (size_t i = 0; i < text.size();) {
    const bool symbol = text.substr(i).starts_with(kSpaceSymbol);
    copy += symbol ? ' ' : text[i];
    i += symbol ? kSpaceSymbol.size() : 1;
  }
  return copy;
}

// The end of the spaces at `begin` and of what follows them up to the next space.
size_t spaced_word_end(std::string_view text, size_t begin) {
  const size_t word = text.find_first_not_of(' ', begin);
  return std::min(text.find(' ', std::min(word, text.size())), text.size());
}

}  // namespace

std::string token_spelling(const TokenizerSpec& spec, int32_t id) {
  const std::string& token = spec.tokens[static_cast<size_t>(id)];
  switch (spec.kinds[static_cast<size_t>(id)]) {
    case TokenKind::kNormal:
      return spec.model == TokenizerModel::kByteLevel ? to_byte_level(token)
                                                      : with_space_symbols(token);
    case TokenKind::kByte:
      return fmt::format("<0x{:02X}>", static_cast<uint8_t>(token[0]));
    default:
      return token;
  }
}

struct Tokenizer::Tables {
  Tables(TokenizerSpec parts, std::string_view where);

  void check_role(const char* role, int32_t id, std::string_view where) const;
  std::string_view token(int32_t id) const { return spec.tokens[static_cast<size_t>(id)]; }
  // One encode(): its working memory and its result.
  struct Run {
    WordMerger merger;
    WordCache& cache;
    std::vector<int32_t> ids;
  };
  void encode_word(std::string_view word, Run& run) const;
  void encode_split(std::string_view text, size_t level, Run& run) const;
  void encode_spaced(std::string_view text, bool prefix, Run& run) const;
  // Text between added tokens, the first or a later one.
  void encode_stretch(std::string_view text, bool first, Run& run) const;

  const TokenizerSpec spec;
  const std::vector<Splitter> splitters;
  const Vocabulary vocabulary;
  const AddedTokens added;
  const uint64_t serial;  // names these tables in the caches of all threads
};

Tokenizer::Tables::Tables(TokenizerSpec parts, std::string_view where)
    : spec(std::move(parts)),
      splitters(splitters_of(spec, where)),
      vocabulary(spec, where),
      added(spec, where),
      serial([] {
        static std::atomic<uint64_t> last = 0;
        return ++last;
      }()) {
  check_role("bos", spec.bos_id, where);
  check_role("eos", spec.eos_id, where);
  check_role("pad", spec.pad_id, where);
  check_role("unk", spec.unk_id, where);
  if (spec.add_bos && spec.bos_id < 0) bad_input("{}: add_bos is set, but there is no bos", where);
}

void Tokenizer::Tables::check_role(const char* role, int32_t id, std::string_view where) const {
  if (id >= -1 && id < static_cast<int32_t>(spec.tokens.size())) return;
  bad_input("{}: {} id {} is out of range [0, {})", where, role, id, spec.tokens.size());
}

void Tokenizer::Tables::encode_word(std::string_view word, Run& run) const {
  if (const WordCache::Entry* entry = run.cache.find(serial, word)) {
    run.ids.insert(run.ids.end(), entry->ids().begin(), entry->ids().end());
    return;
  }
  const size_t before = run.ids.size();
  vocabulary.encode(word, run.merger, run.ids);
  run.cache.store(serial, word, std::span(run.ids).subspan(before));
}

void Tokenizer::Tables::encode_split(std::string_view text, size_t level, Run& run) const {
  splitters[level].split(text, [&](std::string_view word) {
    level + 1 < splitters.size() ? encode_split(word, level + 1, run) : encode_word(word, run);
  });
}

void Tokenizer::Tables::encode_spaced(std::string_view text, bool prefix, Run& run) const {
  std::string copy;
  text = with_plain_spaces(text, copy);
  const auto word_end = [&](size_t begin) {
    return vocabulary.crosses_spaces() ? text.size() : spaced_word_end(text, begin);
  };
  size_t i = 0;
  if (prefix) {
    i = word_end(0);
    encode_word(fmt::format(" {}", text.substr(0, i)), run);
  }
  while (i < text.size()) {
    const size_t end = word_end(i);
    encode_word(text.substr(i, end - i), run);
    i = end;
  }
}

void Tokenizer::Tables::encode_stretch(std::string_view text, bool first, Run& run) const {
  if (text.empty()) return;
  if (spec.model == TokenizerModel::kSentencePiece) {
    const bool spaced = text.starts_with(' ') || text.starts_with(kSpaceSymbol);
    const bool prefix = spec.space_prefix == SpacePrefix::kAlways ||
                        (spec.space_prefix == SpacePrefix::kEach && !spaced) ||
                        (spec.space_prefix == SpacePrefix::kStart && first && !spaced);
    encode_spaced(text, prefix, run);
  } else if (spec.nfc && !is_surely_nfc(text)) {
    encode_split(to_nfc(text), 0, run);
  } else {
    encode_split(text, 0, run);
  }
}

Tokenizer::Tokenizer(TokenizerSpec spec, std::string_view where)
    : tables_(std::make_shared<const Tables>(std::move(spec), where)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, bool parse_special) const {
  if (utf8.size() > kMaxTextBytes) {
    bad_input("text: {} bytes, more than {} at once", utf8.size(), kMaxTextBytes);
  }
  check_utf8(utf8, "text");
  thread_local WordCache cache;
  Tables::Run run{WordMerger(tables_->vocabulary.merges()), cache, {}};
  run.ids.reserve(utf8.size() / 4 + 1);
  for (size_t begin = 0; begin < utf8.size();) {
    const AddedTokens::Match match = tables_->added.next(utf8, begin, parse_special);
    tables_->encode_stretch(utf8.substr(begin, match.begin - begin), begin == 0, run);
    if (match.id >= 0) run.ids.push_back(match.id);
    begin = match.end;
  }
  return std::move(run.ids);
}

void Tokenizer::append(int32_t id, bool skip_special, bool& at_start, std::string& bytes) const {
  std::string_view text = token_bytes(id);
  if (skip_special && is_special(id)) return;
  const TokenKind kind = spec().kinds[static_cast<size_t>(id)];
  const bool of_text = kind == TokenKind::kNormal || kind == TokenKind::kByte;
  if (at_start && of_text && spec().space_prefix != SpacePrefix::kNone && text.starts_with(' '))
    text.remove_prefix(1);
  at_start = false;
  bytes += text;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bool at_start = true;
  for (const int32_t id : ids) append(id, skip_special, at_start, bytes);
  if (valid_utf8_prefix(bytes) == bytes.size()) return bytes;
  return take_utf8(bytes, true);
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(spec().tokens.size()); }

std::optional<int32_t> Tokenizer::find(std::string_view token) const {
  const int32_t added = tables_->added.find(token);
  const int32_t id = added >= 0 ? added : tables_->vocabulary.find(token);
  if (id < 0) return std::nullopt;
  return id;
}

const std::string& Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    bad_input("token id {} is out of range [0, {})", id, vocab_size());
  }
  return tables_->spec.tokens[static_cast<size_t>(id)];
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() &&
         spec().kinds[static_cast<size_t>(id)] == TokenKind::kSpecial;
}

bool Tokenizer::merges_reach_all_tokens() const { return tables_->vocabulary.merges_reach_all(); }

const TokenizerSpec& Tokenizer::spec() const { return tables_->spec; }

std::string StreamDecoder::push(int32_t id) {
  tokenizer_.append(id, skip_special_, at_start_, held_);
  return take_utf8(held_, false);
}

std::string StreamDecoder::flush() {
  at_start_ = begins_text_;
  return take_utf8(held_, true);
}

}  // namespace trit
