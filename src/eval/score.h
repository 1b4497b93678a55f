#pragma once
// How likely continuations are behind their contexts, many at once, for whoever compares them.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "infer/engine.h"
#include "infer/place.h"
#include "text/tokenizer.h"

namespace trit {

struct Continuation {
  std::vector<int32_t> context, tokens;  // neither is empty
  int64_t group =
      0;  // neighbours of one group begin alike: what they have in common is computed once
};

struct ContinuationScore {
  double log_likelihood = 0;  // in nats
  double squares = 0;         // sum of the squares of its tokens' log-likelihoods
  bool greedy = false;        // each token is the most likely one; found when it was asked for
  int64_t reused = 0;         // tokens of the context that had been computed for others
};

// The tokens of a pair of texts as the harness makes them: white space at the context's end goes to the continuation;
// both are encoded as one text, and what goes beyond the context's own tokens is the continuation. With `bos`, texts
// that do not begin with its string begin with it. Behind an empty context stands bos, or else eos. Throws Error naming
// `where` when no token is left for the continuation, or none for the context.
Continuation encode_pair(const Tokenizer& tokenizer, std::string_view context,
                         std::string_view continuation, bool bos, std::string_view where);

// Cuts tokens off the context's beginning until context and continuation, less its last token, fit into `most`
// positions. Throws Error naming `where` for a continuation that is longer than that.
void fit(Continuation& pair, int64_t most, std::string_view where);

// Scores continuations on the engine's backend of a model in the form for `place`. A score does not depend on the others.
class Scorer {
 public:
  // Room for continuations of `longest` positions (context and tokens less the last one). The weights must outlive it.
  Scorer(Place& place, const Weights& weights, KvType kv_type, int64_t longest);
  // each() gets every continuation's score once, in any order. Throws Error when the model's activations are not finite.
  void score(std::span<const Continuation> all, bool greedy,
             const std::function<void(size_t index, const ContinuationScore& score)>& each);

 private:
  std::unique_ptr<Backend> backend_;
};

}  // namespace trit
