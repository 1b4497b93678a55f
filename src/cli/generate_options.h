#pragma once
// The options of a generation that several commands have.

#include <future>

#include "base/error.h"
#include "cli/options.h"
#include "infer/generate.h"
#include "model/checkpoint.h"

namespace trit {

template <class Visitor>
void visit_options(GenerateOptions& generate, Visitor&& v) {
  v("temperature,--temp", generate.sampler.temperature, "0: always the most probable token");
  v("top-k", generate.sampler.top_k, "choose among the k most probable tokens; 0: all");
  v("top-p", generate.sampler.top_p, "of those, the fewest that reach this probability; 1: all");
  v("min-p", generate.sampler.min_p,
    "of those, the ones this probable relative to the best; 0: all");
  v("repetition-penalty", generate.sampler.repetition_penalty,
    "above 1 makes recent tokens less probable");
  v("repetition-window", generate.sampler.repetition_window, "how many tokens are recent");
  v("seed,-s", generate.sampler.seed, "the same seed gives the same text");
  v("stop", generate.stop, "stop before this text appears (may be repeated)");
  v("ignore-end", generate.ignore_end, "go on after the end-of-text token");
}

inline void add_max_tokens(CLI::App& command, GenerateOptions& generate) {
  command.add_option("-n,--max-tokens", generate.max_tokens, "tokens to generate, at most")
      ->capture_default_str();
}

inline void validate(const GenerateOptions& generate) {
  validate(generate.sampler);
  if (generate.max_tokens < 0)
    bad_input("-n: {} is negative; it must be 0 or more", generate.max_tokens);
}

// The tokenizer of a model that is to run text, read beside the model.
class TokenizerBeside {
 public:
  explicit TokenizerBeside(const std::string& path)
      : path_(path),
        read_(std::async(std::launch::async, [path] { return open_tokenizer(path); })) {}
  // Once. Throws Error when there is none that fits the model.
  Tokenizer of(const Model& model);

 private:
  std::string path_;
  std::future<std::optional<Tokenizer>> read_;
};

inline Tokenizer TokenizerBeside::of(const Model& model) {
  std::optional<Tokenizer> tokenizer = read_.get();
  const std::string& path = path_;
  if (!tokenizer) bad_input("{}: it has no tokenizer, so it cannot run text", path);
  if (tokenizer->vocab_size() > model.config().vocabulary) {
    bad_input("{}: its tokenizer has {} tokens, its model {}", path, tokenizer->vocab_size(),
              model.config().vocabulary);
  }
  return std::move(*tokenizer);
}

}  // namespace trit
