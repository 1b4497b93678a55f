#pragma once
// Byte-level BPE tokenizers, as in GPT-2, LLaMA-3 and Hugging Face's `tokenizers`.
//
// Text -> tokens: added tokens are cut out first; the rest is split into words by the pattern; the
// bytes of each word are merged by rank. Every byte has a token, so any UTF-8 text has an encoding,
// and decode(encode(text)) == text.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace trit {

enum class TokenKind : uint8_t {
  kNormal,   // made of bytes by merges
  kSpecial,  // a control token: `<|endoftext|>`; in text only when encode() is told so
  kAdded,    // a string that is always cut out of text as one token
};

// What a tokenizer is, before it is compiled. Files of any format are read into this.
struct TokenizerSpec {
  std::vector<std::string> tokens;                  // by id: the bytes; of others the string itself
  std::vector<TokenKind> kinds;                     // by id
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank: left id, right id
  std::string pattern;                              // how text is cut into words
  bool ignore_merges = false;  // a word that is a token becomes it, whatever the merges say
  bool add_bos = false;        // a model's input starts with bos_id
  int32_t bos_id = -1;         // -1: none
  int32_t eos_id = -1;
  int32_t pad_id = -1;
};

// How files spell a token: a normal one in the byte-level alphabet, any other as it is.
std::string token_spelling(const TokenizerSpec& spec, int32_t id);

// Immutable; copies are cheap and share the tables. All calls are thread-safe.
class Tokenizer {
 public:
  // Throws Error naming `where` (a file) when the parts do not fit: kinds of another length, a byte
  // without a token, two equal tokens, a merge of or into nothing, ids out of range, a bad pattern.
  Tokenizer(TokenizerSpec spec, std::string_view where);

  // Reads tokenizer.json and, if there, tokenizer_config.json of a Hugging Face directory: model BPE;
  // pre_tokenizer ByteLevel, or Sequence of one Split by a regular expression and ByteLevel;
  // added tokens without stripping. Anything else throws Error naming the construct.
  static Tokenizer load(const Path& directory);
  // Writes both files, for transformers' AutoTokenizer and PreTrainedTokenizerFast.
  void save(const Path& directory) const;

  // Ids of `utf8`, without bos or eos. With parse_special, the strings of special tokens become those
  // tokens; otherwise they are text like any other. Throws Error naming the byte where `utf8` is not
  // UTF-8, and when it is longer than kMaxTextBytes.
  std::vector<int32_t> encode(std::string_view utf8, bool parse_special = false) const;
  // Always valid UTF-8: broken sequences become U+FFFD. Throws Error when an id is out of range.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  int32_t vocab_size() const;
  int32_t bos_id() const { return spec().bos_id; }  // -1: none
  int32_t eos_id() const { return spec().eos_id; }
  int32_t pad_id() const { return spec().pad_id; }
  bool add_bos() const { return spec().add_bos; }
  // The token with these bytes (of a special or added token, with this string).
  std::optional<int32_t> find(std::string_view token) const;
  // Throws Error when the id is out of range.
  const std::string& token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  // True when ignore_merges makes no difference: the merges turn every normal token's bytes into it.
  bool merges_reach_all_tokens() const;
  const TokenizerSpec& spec() const;

  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

 private:
  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

// Decodes a stream of tokens. What it returns is whole characters: a character whose bytes are
// spread over several tokens is held back until it is complete.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  std::string push(int32_t id);
  // What is held back; an incomplete character becomes U+FFFD. Then the decoder is as new.
  std::string flush();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string held_;
};

}  // namespace trit
