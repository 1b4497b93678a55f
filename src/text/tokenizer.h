#pragma once
// Tokenizers: byte-level BPE, as in GPT-2, LLaMA-3 and Qwen, and SentencePiece's BPE, as in LLaMA-2.
//
// Text -> tokens: added tokens are cut out first. Of the rest, byte-level BPE brings it into its
// normal form, splits it into words by patterns and merges the bytes of each word by rank.
// SentencePiece puts a space before it, merges its characters by rank and spells those that have no
// token as bytes. Either way any UTF-8 text has an encoding, and decode(encode(text)) == text, except
// that a normal form is not undone and that SentencePiece takes U+2581 for a space.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace trit {

enum class TokenizerModel : uint8_t { kByteLevel, kSentencePiece };

enum class TokenKind : uint8_t {
  kNormal,   // made by merges
  kSpecial,  // a control token: `<|endoftext|>`; in text only when encode() is told so
  kAdded,    // a string that is always cut out of text as one token
  kByte,     // SentencePiece alone: a byte of a character that has no token
};

// Where SentencePiece puts a space that the text does not have. decode() takes it away again.
enum class SpacePrefix : uint8_t {
  kNone,
  kStart,   // before a text that starts with neither a space nor an added token (Metaspace "first")
  kEach,    // the same, and again after each added token (Metaspace "always")
  kAlways,  // before the text and again after each added token, before spaces too (LLaMA-2)
};

// How an added token is found in text.
struct AddedTokenOptions {
  bool single_word = false;  // not when letters or digits touch it
  bool lstrip = false;       // with the blanks before it
  bool rstrip = false;       // with the blanks after it
  bool operator==(const AddedTokenOptions&) const = default;
};

// What a tokenizer is, before it is compiled. Files of any format are read into this.
struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::kByteLevel;
  std::vector<std::string> tokens;  // by id: the bytes they stand for; of others the string itself
  std::vector<TokenKind> kinds;     // by id
  std::map<int32_t, AddedTokenOptions>
      added_options;                                // of special and added tokens; others have none
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank: left id, right id
  // SentencePiece may have scores by id instead of merges: two tokens side by side merge when
  // together they are a token; the token of the highest score comes first, then the leftmost.
  std::vector<float> scores;
  std::vector<std::string>
      patterns;      // byte level: how text is cut into words, and those into words
  bool nfc = false;  // byte level: text is brought into Normalization Form C
  SpacePrefix space_prefix = SpacePrefix::kNone;
  bool ignore_merges = false;  // a word that is a token becomes it, whatever the merges say
  bool add_bos = false;        // a model's input starts with bos_id
  int32_t bos_id = -1;         // -1: none
  int32_t eos_id = -1;
  int32_t pad_id = -1;
  int32_t unk_id = -1;  // named by SentencePiece's files; never the encoding of anything
};

// How files spell a token: a normal one in the byte-level alphabet or with U+2581 for spaces, a byte
// as <0x0A>, any other as it is.
std::string token_spelling(const TokenizerSpec& spec, int32_t id);

// Immutable; copies are cheap and share the tables. All calls are thread-safe.
class Tokenizer {
 public:
  // Throws Error naming `where` (a file) when the parts do not fit: kinds of another length, a byte
  // without a token, two equal tokens, a merge of or into nothing, ids out of range, a bad pattern,
  // parts of the other model.
  Tokenizer(TokenizerSpec spec, std::string_view where);

  // Reads a Hugging Face directory: tokenizer.json, else tokenizer.model (SentencePiece's protobuf,
  // or the ranks of tiktoken, as LLaMA-3 has them), and tokenizer_config.json if it is there.
  // Constructs of tokenizer.json that are not supported throw Error naming the construct; what is
  // supported stands in tokenizer_json.h.
  static Tokenizer load(const Path& directory);
  // Writes tokenizer.json and tokenizer_config.json, for transformers' AutoTokenizer and
  // PreTrainedTokenizerFast.
  void save(const Path& directory) const;

  // Ids of `utf8`, without bos or eos. With parse_special, the strings of special tokens become those
  // tokens; otherwise they are text like any other. Throws Error naming the byte where `utf8` is not
  // UTF-8, and when it is longer than kMaxTextBytes.
  std::vector<int32_t> encode(std::string_view utf8, bool parse_special = false) const;
  // A whole text: without the space that SentencePiece puts before it. Always valid UTF-8: broken sequences become U+FFFD. Throws Error when an id is out of range.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  int32_t vocab_size() const;
  int32_t bos_id() const { return spec().bos_id; }  // -1: none
  int32_t eos_id() const { return spec().eos_id; }
  int32_t pad_id() const { return spec().pad_id; }
  bool add_bos() const { return spec().add_bos; }
  // The token with these bytes, or the special or added token with this string, which comes first.
  std::optional<int32_t> find(std::string_view token) const;
  // Throws Error when the id is out of range.
  const std::string& token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  // True when ignore_merges makes no difference: the merges turn every normal token's bytes into it.
  bool merges_reach_all_tokens() const;
  const TokenizerSpec& spec() const;

  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

 private:
  friend class StreamDecoder;
  // Appends what the token says; a text's first token that says something clears `at_start`.
  void append(int32_t id, bool skip_special, bool& at_start, std::string& bytes) const;

  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

// True when Tokenizer::load finds a tokenizer in `directory`.
bool has_tokenizer(const Path& directory);

// Decodes a stream of tokens. What it returns is whole characters: a character whose bytes are
// spread over several tokens is held back until it is complete.
class StreamDecoder {
 public:
  // The tokens go on a text, such as a prompt; with `at_start` they begin one, and the space that
  // SentencePiece puts before a text is taken away.
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true, bool at_start = false)
      : tokenizer_(std::move(tokenizer)),
        skip_special_(skip_special),
        begins_text_(at_start),
        at_start_(at_start) {}
  std::string push(int32_t id);
  // What is held back; an incomplete character becomes U+FFFD. Then the decoder is as new.
  std::string flush();

 private:
  Tokenizer tokenizer_;
  bool skip_special_, begins_text_, at_start_;
  std::string held_;
};

}  // namespace trit
