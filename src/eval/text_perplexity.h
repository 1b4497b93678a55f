#pragma once
// Perplexity of texts in the conventions that published figures are in. A convention says how a text is cut into windows and
// which tokens of each are scored; docs/math.md has the formulas.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "infer/place.h"
#include "text/tokenizer.h"

namespace trit {

enum class PerplexityConvention : uint8_t {
  // Every token but a text's first, each behind at least context - stride tokens where the text has them: windows of
  // context + 1 tokens, `stride` apart, of which the tokens are scored that no window before had.
  kStrided,
  // llama.cpp's llama-perplexity: windows of `context` tokens side by side, of which the second half is scored; bos, where the
  // tokenizer adds it, in place of each window's first token; what is left at the end is not used.
  kLlamaCpp,
  // lm-evaluation-harness (loglikelihood_rolling): every token, the first behind bos or eos; windows of `context` side by side,
  // the last one moved back so that it is full.
  kHarness,
};
// "strided", "llama.cpp", "harness"; throws Error listing them.
PerplexityConvention convention_from(std::string_view name);

// A text that is scored by itself.
struct TokenText {
  std::vector<int32_t> tokens;  // without what the convention puts before them
  int64_t bytes = 0;            // of UTF-8
  int64_t words = -1;           // -1: not known
};

struct TextPerplexityOptions {
  PerplexityConvention convention = PerplexityConvention::kStrided;
  int64_t context = 0;  // tokens that the model sees at once; 0: the model's (llama.cpp: 512)
  int64_t stride = 0;   // of kStrided; 0: half the context
  bool bos = false;     // the tokenizer's bos stands before each text
  KvType kv_type = KvType::kF32;
  // Where windows are noted as they are through; a file that is there already is gone on from. Empty: nowhere.
  Path resume = {};
  std::string model =
      {};  // what `resume` calls the model, so that another's figures are not mixed in
  // Tokens scored of all; called often.
  std::function<void(int64_t done, int64_t all)> progress = {};
};

struct TextPerplexity {
  int64_t tokens = 0;  // scored
  int64_t windows = 0, documents = 0, resumed = 0;
  int64_t context = 0, stride = 0;  // that were used
  double nats = 0;
  double bytes = 0, words = -1;  // of the scored text: the share of all that its tokens' bytes are
  // Of loss(): the texts, or the windows where there is one text, are taken for a sample of clusters; NaN for one cluster.
  double standard_error = 0;
  bool over_documents = false;
  double token_standard_error = 0;  // as if tokens were independent: what llama.cpp prints as +/-
  double seconds = 0;

  double loss() const { return nats / static_cast<double>(tokens); }  // nats per token
  double perplexity() const;
  double word_perplexity() const;  // exp(nats per word)
  double byte_perplexity() const;
  double bits_per_byte() const;
  double low() const;  // the perplexity's 95 % interval: exp(loss() -+ 1.96 standard errors)
  double high() const;
};

// Scores the texts on a model in the form for `place`. The figures do not depend on what is resumed or on batches. Throws Error for
// options out of range, when no token is left to be scored, and for a `resume` file of something else.
TextPerplexity text_perplexity(Place& place, const Weights& weights, const Tokenizer& tokenizer,
                               std::span<const TokenText> texts,
                               const TextPerplexityOptions& options);

}  // namespace trit
