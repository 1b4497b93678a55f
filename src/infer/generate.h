#pragma once
// Text from a prompt, token by token.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/sampler.h"
#include "infer/session.h"
#include "text/tokenizer.h"

namespace trit {

struct GenerateOptions {
  int64_t max_tokens = 256;
  std::vector<std::string> stop;    // generation ends before the first of these appears
  std::vector<int32_t> end_tokens;  // end the text as the tokenizer's end-of-text token does
  bool ignore_end = false;          // go on after any of these
  SamplerOptions sampler;
};

enum class StopReason : uint8_t { kLength, kEndOfText, kStopString, kContextFull, kInterrupted };
std::string_view to_string(StopReason reason);  // "length", "end of text", ...

struct GenerateReport {
  int64_t prompt_tokens = 0;  // that were run
  double prompt_seconds = 0;  // until the first logits
  int64_t generated_tokens = 0;
  double generate_seconds = 0;
  StopReason reason = StopReason::kLength;
  std::vector<int32_t> tokens;  // the generated ones
};

// Runs `prompt` and samples up to max_tokens more. `on_text` gets the new text in
// pieces that are whole UTF-8 characters and never contain the beginning of a stop string that then
// matches; it returns false to end. Positions that the session holds already are those of the prompt's
// beginning and are not run again; at least one token must be left to run. Throws Error when the prompt
// does not fit in the session.
GenerateReport generate(Session& session, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text);

// Holds back text that may turn out to begin a stop string.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // Takes new text; returns what may be shown. After a match stopped() is true and the text from the
  // match on is dropped.
  std::string push(std::string_view text);
  // What was held back, at the end.
  std::string flush() { return std::exchange(held_, {}); }
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace trit
