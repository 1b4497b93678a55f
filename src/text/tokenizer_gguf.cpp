#include "text/tokenizer_gguf.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/gguf_pre_tokenizers.h"
#include "text/token_map.h"
#include "text/token_splits.h"
#include "text/tokenizer_model.h"

namespace trit {
namespace {

// Values of tokenizer.ggml.token_type.
enum TokenType : int32_t {
  kTypeNormal = 1,
  kTypeUnknown = 2,
  kTypeControl = 3,
  kTypeUserDefined = 4,
  kTypeUnused = 5,
  kTypeByte = 6,
};

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kBos = "tokenizer.ggml.bos_token_id";
constexpr const char* kEos = "tokenizer.ggml.eos_token_id";
constexpr const char* kPad = "tokenizer.ggml.padding_token_id";
constexpr const char* kUnknown = "tokenizer.ggml.unknown_token_id";
constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
constexpr const char* kSpacePrefix = "tokenizer.ggml.add_space_prefix";
constexpr const char* kDropsBlanks = "tokenizer.ggml.remove_extra_whitespaces";

// The published GGUF of BitNet b1.58 2B4T names no pre-tokenizer; its vocabulary is LLaMA-3's.
constexpr size_t kLlama3Tokens = 128256;
constexpr int32_t kLlama3Bos = 128000;

const PreTokenizer& pre_tokenizer_for(const Tokenizer& tokenizer) {
  const TokenizerSpec& spec = tokenizer.spec();
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (spec.patterns != pre.patterns() || spec.nfc != pre.nfc) continue;
    if (spec.ignore_merges != pre.like_llama3 && !tokenizer.merges_reach_all_tokens()) {
      bad_input("tokenizer: ignore_merges is {}, which GGUF cannot say of a '{}' pattern",
                spec.ignore_merges, pre.name);
    }
    return pre;
  }
  bad_input(
      "tokenizer: GGUF has no name for the pattern '{}' {} NFC; it must be LLaMA-3's, "
      "GPT-2's or Qwen2's",
      printable(spec.patterns[0]), spec.nfc ? "with" : "without");
}

const PreTokenizer& pre_tokenizer_named(std::string_view name, std::string_view where) {
  std::string_view between;
  std::string names;
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (pre.name == name) return pre;
    names += fmt::format("{}{}", std::exchange(between, ", "), pre.name);
  }
  bad_input("{}: {} is '{}'; supported are {}", where, kPre, printable(name), names);
}

const PreTokenizer& pre_tokenizer_of(const Gguf& file, const TokenizerSpec& spec,
                                     std::string_view where) {
  if (file.has(kPre)) return pre_tokenizer_named(file.get_string(kPre), where);
  if (spec.tokens.size() == kLlama3Tokens && spec.bos_id == kLlama3Bos)
    return pre_tokenizer_named("llama-bpe", where);
  bad_input(
      "{}: {} is missing, and {} tokens with bos {} are not LLaMA-3's ({} and {}): how text is "
      "split cannot be told",
      where, kPre, spec.tokens.size(), spec.bos_id, kLlama3Tokens, kLlama3Bos);
}

int32_t type_of(const TokenizerSpec& spec, int32_t id) {
  switch (spec.kinds[static_cast<size_t>(id)]) {
    case TokenKind::kNormal:
      return kTypeNormal;
    case TokenKind::kByte:
      return kTypeByte;
    case TokenKind::kAdded:
      return kTypeUserDefined;
    case TokenKind::kSpecial:
      break;
  }
  return id == spec.unk_id ? kTypeUnknown : kTypeControl;
}

TokenKind kind_of(int64_t type, size_t id, std::string_view where) {
  switch (type) {
    case kTypeNormal:
      return TokenKind::kNormal;
    case kTypeUnknown:
    case kTypeControl:
    case kTypeUnused:
      return TokenKind::kSpecial;
    case kTypeUserDefined:
      return TokenKind::kAdded;
    default:
      bad_input("{}: {}[{}] is {}, expected 1 ... 5", where, kTypes, id, type);
  }
}

void add_byte_level_token(TokenizerSpec& spec, const std::string& name, int64_t type,
                          std::string_view where) {
  const size_t id = spec.tokens.size();
  spec.kinds.push_back(kind_of(type, id, where));
  if (spec.kinds.back() != TokenKind::kNormal) {
    spec.tokens.push_back(name);
    return;
  }
  std::optional<std::string> bytes = from_byte_level(name);
  if (!bytes) {
    bad_input("{}: {}[{}] '{}' is not in the byte-level alphabet", where, kTokens, id,
              printable(name));
  }
  spec.tokens.push_back(std::move(*bytes));
}

void read_tokens(const Gguf& file, std::string_view where, TokenizerSpec& spec) {
  const std::vector<std::string>& names = file.get_strings(kTokens);
  const std::vector<int64_t> types = file.get_ints(kTypes);
  if (types.size() != names.size()) {
    bad_input("{}: {} has {} entries for {} tokens", where, kTypes, types.size(), names.size());
  }
  for (size_t id = 0; id < names.size(); ++id) {
    spec.model == TokenizerModel::kByteLevel
        ? add_byte_level_token(spec, names[id], types[id], where)
        : add_piece(spec, names[id], types[id], where);
  }
}

void read_merges(const Gguf& file, std::string_view where, TokenizerSpec& spec) {
  const std::vector<std::string>& names = file.get_strings(kTokens);
  const std::vector<std::string>& merges = file.get_strings(kMerges);
  TokenMap ids(names);
  for (size_t id = 0; id < names.size(); ++id) ids.add(static_cast<int32_t>(id));
  spec.merges.reserve(merges.size());
  for (const std::string_view merge : merges) {
    const size_t space = std::min(merge.find(' '), merge.size());
    const int32_t left = ids.find(merge.substr(0, space));
    const int32_t right = ids.find(merge.substr(std::min(space + 1, merge.size())));
    if (left < 0 || right < 0) {
      bad_input("{}: {}[{}] '{}' is not two tokens and a space between them", where, kMerges,
                spec.merges.size(), printable(merge));
    }
    spec.merges.emplace_back(left, right);
  }
}

int32_t read_id(const Gguf& file, const char* key, std::string_view where) {
  if (!file.has(key)) return -1;
  const uint64_t id = file.get_uint(key);
  if (id > INT32_MAX) bad_input("{}: {} is {}, which is no token id", where, key, id);
  return static_cast<int32_t>(id);
}

void read_byte_level(const Gguf& file, std::string_view where, TokenizerSpec& spec) {
  const PreTokenizer& pre = pre_tokenizer_of(file, spec, where);
  spec.patterns = pre.patterns();
  spec.nfc = pre.nfc;
  spec.ignore_merges = pre.like_llama3;
  read_merges(file, where, spec);
  spec.add_bos = file.get_bool_or(kAddBos, pre.like_llama3 && spec.bos_id >= 0);
}

void read_sentencepiece(const Gguf& file, TokenizerSpec& spec) {
  for (const double score : file.get_floats(kScores))
    spec.scores.push_back(static_cast<float>(score));
  spec.space_prefix =
      file.get_bool_or(kSpacePrefix, true) ? SpacePrefix::kAlways : SpacePrefix::kNone;
  spec.add_bos = file.get_bool_or(kAddBos, spec.bos_id >= 0);
}

void write_byte_level(GgufWriter& writer, const Tokenizer& tokenizer) {
  const TokenizerSpec& spec = tokenizer.spec();
  std::vector<std::string> merges;
  for (const auto& [left, right] : spec.merges) {
    merges.push_back(token_spelling(spec, left) + " " + token_spelling(spec, right));
  }
  writer.set(kPre, std::string(pre_tokenizer_for(tokenizer).name));
  writer.set(kMerges, GgufArray(std::move(merges)));
}

void write_sentencepiece(GgufWriter& writer, const TokenizerSpec& spec) {
  if (spec.space_prefix == SpacePrefix::kStart || spec.space_prefix == SpacePrefix::kEach) {
    bad_input("tokenizer: GGUF cannot say that no space goes before spaces or after added tokens");
  }
  writer.set(kPre, std::string("default"));
  writer.set(kScores,
             GgufArray(spec.scores.empty() ? scores_of_merges(spec, "tokenizer") : spec.scores));
  writer.set(kSpacePrefix, spec.space_prefix == SpacePrefix::kAlways);
}

void write_id(GgufWriter& writer, const char* key, int32_t id) {
  if (id >= 0) writer.set(key, static_cast<uint32_t>(id));
}

}  // namespace

void write_tokenizer(GgufWriter& writer, const Tokenizer& tokenizer) {
  const TokenizerSpec& spec = tokenizer.spec();
  for (const auto& [id, options] : spec.added_options) {
    if (options == AddedTokenOptions()) continue;
    bad_input("tokenizer: GGUF cannot say that token {} '{}' takes blanks with it or stands alone",
              id, printable(spec.tokens[static_cast<size_t>(id)]));
  }
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    tokens.push_back(token_spelling(spec, id));
    types.push_back(type_of(spec, id));
  }
  const bool byte_level = spec.model == TokenizerModel::kByteLevel;
  writer.set(kModel, std::string(byte_level ? "gpt2" : "llama"));
  writer.set(kTokens, GgufArray(std::move(tokens)));
  writer.set(kTypes, GgufArray(std::move(types)));
  byte_level ? write_byte_level(writer, tokenizer) : write_sentencepiece(writer, spec);
  write_id(writer, kBos, spec.bos_id);
  write_id(writer, kEos, spec.eos_id);
  write_id(writer, kPad, spec.pad_id);
  write_id(writer, kUnknown, spec.unk_id);
  writer.set(kAddBos, spec.add_bos);
}

Tokenizer read_tokenizer(const Gguf& file) {
  const std::string where = file.path().string();
  const std::string& model = file.get_string(kModel);
  if (model != "gpt2" && model != "llama") {
    bad_input("{}: {} is '{}'; supported are gpt2 (byte-level BPE) and llama (SentencePiece)",
              where, kModel, printable(model));
  }
  if (file.get_bool_or(kDropsBlanks, false))
    bad_input("{}: {} is not supported", where, kDropsBlanks);
  TokenizerSpec spec;
  if (model == "llama") spec.model = TokenizerModel::kSentencePiece;
  read_tokens(file, where, spec);
  spec.bos_id = read_id(file, kBos, where);
  spec.eos_id = read_id(file, kEos, where);
  spec.pad_id = read_id(file, kPad, where);
  spec.unk_id = read_id(file, kUnknown, where);
  model == "gpt2" ? read_byte_level(file, where, spec) : read_sentencepiece(file, spec);
  return Tokenizer(std::move(spec), where);
}

}  // namespace trit
