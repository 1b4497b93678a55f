#pragma once
// Finds added and special tokens in text, as Hugging Face's `tokenizers` does.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace trit {

class AddedTokens {
 public:
  // Keeps a reference to `spec`. Throws Error when an added token is not UTF-8.
  AddedTokens(const TokenizerSpec& spec, std::string_view where);

  struct Match {
    size_t begin, end;  // with the blanks that belong to it; begin == text.size(): none is left
    int32_t id;
  };
  // The first match at or after `from`: the leftmost, of those the longest token. Special tokens count
  // only with parse_special.
  Match next(std::string_view text, size_t from, bool parse_special) const;
  // -1 when no added or special token is this string.
  int32_t find(std::string_view token) const;

 private:
  int32_t at(std::string_view text, size_t offset, bool parse_special) const;

  const TokenizerSpec& spec_;
  std::array<std::vector<int32_t>, 256> by_first_byte_;  // the longest first
  std::array<bool, 256> begins_{};
};

}  // namespace trit
