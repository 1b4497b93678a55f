#include "eval/perplexity_windows.h"

#include <algorithm>

#include "base/error.h"

namespace trit {
namespace {

// Hugging Face's "perplexity of fixed-length models", with one token more a window so that the last input has one to predict.
std::vector<PerplexityWindow> strided(int64_t tokens, int64_t context, int64_t stride) {
  std::vector<PerplexityWindow> windows;
  for (int64_t begin = 0, done = 1; done < tokens; begin += stride) {
    const int64_t end = std::min(begin + context + 1, tokens);
    windows.push_back({begin, end, end - done});
    done = end;
  }
  return windows;
}

std::vector<PerplexityWindow> halves(int64_t tokens, int64_t context) {
  std::vector<PerplexityWindow> windows;
  for (int64_t begin = 0; begin + context <= tokens; begin += context)
    windows.push_back({begin, begin + context, context - context / 2 - 1});
  return windows;
}

// The first token is the prefix: tokens - 1 are scored.
std::vector<PerplexityWindow> rolling(int64_t tokens, int64_t context) {
  std::vector<PerplexityWindow> windows;
  for (int64_t done = 1; done < tokens;) {
    const int64_t end = std::min(done + context, tokens);
    // The harness's first window begins with the prefix, later ones never do.
    const int64_t begin = done == 1 ? 0 : end - context - 1;
    windows.push_back({begin, end, end - done});
    done = end;
  }
  return windows;
}

}  // namespace

PerplexityPrefix prefix_of(PerplexityConvention convention, const Tokenizer& tokenizer, bool bos) {
  const int32_t bos_id = tokenizer.bos_id();
  PerplexityPrefix prefix;
  if (convention == PerplexityConvention::kHarness) {
    prefix.before = {bos_id >= 0 ? bos_id : tokenizer.eos_id()};
    if (prefix.before[0] < 0)
      bad_input("the harness's convention needs a tokenizer with bos or eos");
  }
  if (bos && bos_id < 0) bad_input("the tokenizer has no bos to begin texts with");
  if (bos) prefix.before.push_back(bos_id);
  if (bos && convention == PerplexityConvention::kLlamaCpp) prefix.first = bos_id;
  return prefix;
}

std::vector<PerplexityWindow> windows_of(PerplexityConvention convention, int64_t tokens,
                                         int64_t context, int64_t stride) {
  switch (convention) {
    case PerplexityConvention::kStrided:
      return strided(tokens, context, stride);
    case PerplexityConvention::kLlamaCpp:
      return halves(tokens, context);
    case PerplexityConvention::kHarness:
      return rolling(tokens, context);
  }
  return {};
}

}  // namespace trit
