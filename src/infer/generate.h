#pragma once
// Text from a prompt, token by token.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/engine.h"
#include "text/tokenizer.h"

namespace trit {

struct GenerateOptions {
  int64_t max_tokens = 256;
  std::vector<std::string> stop;    // generation ends before the first of these appears
  std::vector<int32_t> end_tokens;  // end the text as the tokenizer's end-of-text token does
  bool ignore_end = false;          // go on after any of these
  SamplerOptions sampler;
};

struct GenerateReport {
  int64_t prompt_tokens = 0;  // that were run
  int64_t reused_tokens = 0;  // of the prompt, before these: found in the cache
  double prompt_seconds = 0;  // until the first token
  int64_t generated_tokens = 0;
  int64_t later_tokens = 0;     // of them, those after a text's first, which the prompt gave
  double generate_seconds = 0;  // from the first token on
  StopReason reason = StopReason::kLength;
  std::vector<int32_t> tokens;  // the generated ones

  // Tokens a second; nothing where no time was taken.
  std::optional<double> prompt_speed() const { return rate(prompt_tokens, prompt_seconds); }
  std::optional<double> generate_speed() const { return rate(later_tokens, generate_seconds); }

 private:
  static std::optional<double> rate(int64_t count, double seconds) {
    if (count == 0 || seconds <= 0) return std::nullopt;
    return static_cast<double>(count) / seconds;
  }
};

// Runs `prompt` and samples up to max_tokens more; other requests of the engine advance beside it, and lose their
// events. `on_text` gets the new text in pieces that are whole UTF-8 characters and never contain the
// beginning of a stop string that then matches; a piece is empty when a step gave no text. It returns false to end.
// Throws Error when the engine refuses the prompt or the options, or the model fails.
GenerateReport generate(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text);

// `count` texts from the same prompt at once, with the seeds from the options' on: generate() of each.
// on_text(i, piece) is called for text i; when it returns false, all end.
std::vector<GenerateReport> generate_samples(
    Engine& engine, const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
    const GenerateOptions& options, int64_t count,
    const std::function<bool(int64_t, std::string_view)>& on_text);

// What to submit. Throws Error for options that are out of range.
Request request_for(std::vector<int32_t> prompt, const Tokenizer& tokenizer,
                    const GenerateOptions& options);

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

// The text of one request, from its events.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const GenerateOptions& options)
      : decoder_(tokenizer), filter_(options.stop) {}
  // What may be shown now. Nothing more is to be pushed after the end.
  std::string push(const Event& event);
  // Why the text ended. After kStopString the request may still run; it is for the caller to cancel it.
  std::optional<StopReason> end() const { return end_; }

 private:
  StreamDecoder decoder_;
  StopFilter filter_;
  std::optional<StopReason> end_;
};

}  // namespace trit
