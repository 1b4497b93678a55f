#pragma once
// The compiled tokens and merges of a TokenizerSpec: one word -> its tokens.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/token_map.h"
#include "text/tokenizer.h"

namespace trit {

class Vocabulary {
 public:
  // Keeps a reference to `spec`, and throws what Tokenizer's constructor does.
  Vocabulary(const TokenizerSpec& spec, std::string_view where);

  // Appends the tokens of one word. Long words may be cut with crosses_spaces() in mind.
  void encode(std::string_view word, WordMerger& merger, std::vector<int32_t>& ids) const;
  // -1 when no normal token, and no byte of its own, has these bytes.
  int32_t find(std::string_view bytes) const;
  // True when the merges turn the bytes of the normal token into it.
  bool merges_reach(int32_t id, WordMerger& merger) const;
  bool merges_reach_all() const;
  // True when a normal token holds a space after something else; else no merge crosses from a word
  // into the spaces before the next one.
  bool crosses_spaces() const { return crosses_spaces_; }
  const MergeTable& merges() const { return merges_; }

 private:
  void check_sizes(std::string_view where) const;
  void add_tokens(std::string_view where);
  void check_byte(int32_t id, std::string_view where);
  void add_merges(std::string_view where);
  void add_scored_merges(std::string_view where);
  const std::string& token(int32_t id) const { return spec_.tokens[static_cast<size_t>(id)]; }
  std::vector<int32_t> symbols_of(std::string_view word) const;

  const TokenizerSpec& spec_;
  MergeTable merges_{0};
  TokenMap normal_;
  std::array<int32_t, 256> byte_ids_{};
  std::array<int32_t, 128> ascii_ids_{};  // of characters: their token, else that of their byte
  bool crosses_spaces_ = false;
};

}  // namespace trit
