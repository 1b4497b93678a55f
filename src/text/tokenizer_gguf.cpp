#include "text/tokenizer_gguf.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/splitter.h"

namespace trit {
namespace {

// What a name under tokenizer.ggml.pre stands for. With "llama-bpe" readers of GGUF let a word that
// is a token become it whatever the merges say, and add bos unless told otherwise.
struct PreTokenizer {
  std::string_view name;
  std::string_view pattern;
  bool like_llama3;
};
constexpr PreTokenizer kPreTokenizers[] = {
    {"llama-bpe", kLlama3Pattern, true},
    {"gpt-2", kGpt2Pattern, false},
};

// Values of tokenizer.ggml.token_type.
enum TokenType : int32_t {
  kTypeNormal = 1,
  kTypeControl = 3,
  kTypeUserDefined = 4,
  kTypeUnused = 5
};

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kBos = "tokenizer.ggml.bos_token_id";
constexpr const char* kEos = "tokenizer.ggml.eos_token_id";
constexpr const char* kPad = "tokenizer.ggml.padding_token_id";
constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";

const PreTokenizer& pre_tokenizer_for(const Tokenizer& tokenizer) {
  const TokenizerSpec& spec = tokenizer.spec();
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (spec.pattern != pre.pattern) continue;
    if (spec.ignore_merges != pre.like_llama3 && !tokenizer.merges_reach_all_tokens()) {
      bad_input("tokenizer: ignore_merges is {}, which GGUF cannot say of a '{}' pattern",
                spec.ignore_merges, pre.name);
    }
    return pre;
  }
  bad_input("tokenizer: GGUF has no name for the pattern '{}'; it must be LLaMA-3's or GPT-2's",
            printable(spec.pattern));
}

const PreTokenizer& pre_tokenizer_of(const Gguf& file, std::string_view where) {
  const std::string& name = file.get_string(kPre);
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (pre.name == name) return pre;
  }
  bad_input("{}: {} is '{}'; supported are llama-bpe and gpt-2", where, kPre, printable(name));
}

int32_t type_of(TokenKind kind) {
  if (kind == TokenKind::kNormal) return kTypeNormal;
  return kind == TokenKind::kSpecial ? kTypeControl : kTypeUserDefined;
}

TokenKind kind_of(int64_t type, size_t id, std::string_view where) {
  switch (type) {
    case kTypeNormal:
      return TokenKind::kNormal;
    case kTypeControl:
    case kTypeUnused:
      return TokenKind::kSpecial;
    case kTypeUserDefined:
      return TokenKind::kAdded;
    default:
      bad_input("{}: {}[{}] is {}, expected 1, 3, 4 or 5", where, kTypes, id, type);
  }
}

void read_tokens(const Gguf& file, std::string_view where, TokenizerSpec& spec) {
  const std::vector<std::string>& names = file.get_strings(kTokens);
  const std::vector<int64_t> types = file.get_ints(kTypes);
  if (types.size() != names.size()) {
    bad_input("{}: {} has {} entries for {} tokens", where, kTypes, types.size(), names.size());
  }
  for (size_t id = 0; id < names.size(); ++id) {
    const TokenKind kind = kind_of(types[id], id, where);
    spec.kinds.push_back(kind);
    if (kind != TokenKind::kNormal) {
      spec.tokens.push_back(names[id]);
      continue;
    }
    std::optional<std::string> bytes = from_byte_level(names[id]);
    if (!bytes) {
      bad_input("{}: {}[{}] '{}' is not in the byte-level alphabet", where, kTokens, id,
                printable(names[id]));
    }
    spec.tokens.push_back(std::move(*bytes));
  }
}

void read_merges(const Gguf& file, std::string_view where, TokenizerSpec& spec) {
  const std::vector<std::string>& names = file.get_strings(kTokens);
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < names.size(); ++id) ids.emplace(names[id], static_cast<int32_t>(id));
  for (const std::string_view merge : file.get_strings(kMerges)) {
    const size_t space = std::min(merge.find(' '), merge.size());
    const auto left = ids.find(merge.substr(0, space));
    const auto right = ids.find(merge.substr(std::min(space + 1, merge.size())));
    if (left == ids.end() || right == ids.end()) {
      bad_input("{}: {}[{}] '{}' is not two tokens and a space between them", where, kMerges,
                spec.merges.size(), printable(merge));
    }
    spec.merges.emplace_back(left->second, right->second);
  }
}

int32_t read_id(const Gguf& file, const char* key, std::string_view where) {
  if (!file.has(key)) return -1;
  const uint64_t id = file.get_uint(key);
  if (id > INT32_MAX) bad_input("{}: {} is {}, which is no token id", where, key, id);
  return static_cast<int32_t>(id);
}

}  // namespace

void write_tokenizer(GgufWriter& writer, const Tokenizer& tokenizer) {
  const TokenizerSpec& spec = tokenizer.spec();
  const PreTokenizer& pre = pre_tokenizer_for(tokenizer);
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    tokens.push_back(token_spelling(spec, id));
    types.push_back(type_of(spec.kinds[static_cast<size_t>(id)]));
  }
  for (const auto& [left, right] : spec.merges) {
    merges.push_back(token_spelling(spec, left) + " " + token_spelling(spec, right));
  }
  writer.set(kModel, std::string("gpt2"));
  writer.set(kPre, std::string(pre.name));
  writer.set(kTokens, GgufArray(std::move(tokens)));
  writer.set(kTypes, GgufArray(std::move(types)));
  writer.set(kMerges, GgufArray(std::move(merges)));
  if (spec.bos_id >= 0) writer.set(kBos, static_cast<uint32_t>(spec.bos_id));
  if (spec.eos_id >= 0) writer.set(kEos, static_cast<uint32_t>(spec.eos_id));
  if (spec.pad_id >= 0) writer.set(kPad, static_cast<uint32_t>(spec.pad_id));
  writer.set(kAddBos, spec.add_bos);
}

Tokenizer read_tokenizer(const Gguf& file) {
  const std::string where = file.path().string();
  const std::string& model = file.get_string(kModel);
  if (model != "gpt2") {
    bad_input("{}: {} is '{}'; supported is gpt2 (byte-level BPE)", where, kModel,
              printable(model));
  }
  const PreTokenizer& pre = pre_tokenizer_of(file, where);
  TokenizerSpec spec;
  spec.pattern = pre.pattern;
  spec.ignore_merges = pre.like_llama3;
  read_tokens(file, where, spec);
  read_merges(file, where, spec);
  spec.bos_id = read_id(file, kBos, where);
  spec.eos_id = read_id(file, kEos, where);
  spec.pad_id = read_id(file, kPad, where);
  spec.add_bos = file.get_bool_or(kAddBos, pre.like_llama3 && spec.bos_id >= 0);
  return Tokenizer(std::move(spec), where);
}

}  // namespace trit
