#pragma once
// How conventions cut a text.

#include <vector>

#include "eval/score.h"
#include "eval/text_perplexity.h"

namespace trit {

// Tokens [begin, end) of a text with what stands before it, of which the last `scored` are scored.
struct PerplexityWindow {
  int64_t begin = 0, end = 0, scored = 0;
};

// What a convention puts before the tokens of a text (-1: nothing), and in place of each window's first token.
struct PerplexityPrefix {
  std::vector<int32_t> before;
  int32_t first = -1;
};
PerplexityPrefix prefix_of(PerplexityConvention convention, const Tokenizer& tokenizer, bool bos);

// Of a text of `tokens` tokens, prefix included. Empty where nothing can be scored.
std::vector<PerplexityWindow> windows_of(PerplexityConvention convention, int64_t tokens,
                                         int64_t context, int64_t stride);

}  // namespace trit
