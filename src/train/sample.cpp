#include "train/sample.h"

#include <algorithm>

#include "infer/cpu_backend.h"
#include "infer/generate.h"

namespace trit {

std::string sample_text(const Weights& weights, const Tokenizer& tokenizer,
                        const SampleOptions& options, int64_t step) {
  std::vector<int32_t> prompt = tokenizer.encode(options.prompt);
  if (prompt.empty()) prompt = {std::max(tokenizer.eos_id(), 0)};
  GenerateOptions how;
  const int64_t room = weights.config.context - std::ssize(prompt);
  how.max_tokens = std::min(options.max_tokens, room);
  if (how.max_tokens < 1) return options.prompt;
  how.sampler.seed = static_cast<uint64_t>(step);
  CpuBackend backend(weights, {.positions = std::ssize(prompt) + how.max_tokens, .max_rows = 64});
  Engine engine(backend);
  std::string text = options.prompt;
  generate(engine, tokenizer, prompt, how, [&](std::string_view piece) {
    text += piece;
    return true;
  });
  return text;
}

}  // namespace trit
