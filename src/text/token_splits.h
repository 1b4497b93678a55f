#pragma once
// Vocabularies that rank tokens rather than merges (SentencePiece's scores, tiktoken's ranks): the
// merges that they imply, and back.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace trit {

// What SentencePiece writes for a space.
inline constexpr std::string_view kSpaceSymbol = "\u2581";

struct TokenSplit {
  int32_t left, right, token;  // the bytes of left and right together are those of token
};

// Every way to make a normal token of two others, by token and then by the length of the left one.
// Throws Error when such a token is longer than 1024 bytes.
std::vector<TokenSplit> token_splits(const TokenizerSpec& spec, std::string_view where);

// 0 for the highest score; equal scores have equal ranks. Throws Error when one is not finite.
std::vector<int32_t> score_ranks(std::span<const float> scores, std::string_view where);

// The merges as Hugging Face's converters list them: by the rank of the token they make; those of one
// token by the length of the left part, the longest first (SentencePiece), or by left and right id.
std::vector<std::pair<int32_t, int32_t>> merges_by_rank(const TokenizerSpec& spec,
                                                        std::span<const int32_t> ranks,
                                                        std::string_view where);

// The scores that imply the merges of `spec`: minus the place at which a token is first made.
// Throws Error when no scores do: merges that make one token stand apart, or some are missing.
std::vector<float> scores_of_merges(const TokenizerSpec& spec, std::string_view where);

}  // namespace trit
