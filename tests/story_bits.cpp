// Prints the beginning of the shipped model's story and, per type of cache, a checksum of all logits on the way:
// what every machine and instruction set must print alike (same_story.sh). `story_bits isas` prints the
// instruction sets of this machine.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <vector>

#include "infer/session.h"
#include "kernels/kernels.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr int kTokens = 40;

struct Story {
  std::vector<int32_t> tokens;
  uint64_t checksum = 0xCBF29CE484222325u;  // FNV-1a
  void add(std::span<const float> logits) {
    for (const float value : logits) {
      for (uint32_t bits = std::bit_cast<uint32_t>(value), i = 0; i < 4; ++i, bits >>= 8)
        checksum = (checksum ^ (bits & 0xFF)) * 0x100000001B3u;
    }
  }
};

Story tell(const Weights& weights, std::vector<int32_t> prompt, kernels::KvType type) {
  Session session(weights, std::ssize(prompt) + kTokens, type);
  Story story;
  for (std::span<const int32_t> next = prompt; std::ssize(story.tokens) < kTokens;
       next = std::span(story.tokens).last(1)) {
    const std::span<const float> logits = session.feed(next);
    story.add(logits);
    story.tokens.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
  }
  return story;
}

void print_stories() {
  const Path path = TRIT_SOURCE_DIR "/models/tales-3m.gguf";
  const Model model = Model::open_to_run(path);
  const Tokenizer tokenizer = open_tokenizer(path).value();
  for (int i = 0; i < kernels::kKvTypes; ++i) {
    const auto type = static_cast<kernels::KvType>(i);
    const Story story = tell(model.weights(), tokenizer.encode("Once upon a time"), type);
    fmt::print("{} {:016x}{}\n", kernels::to_string(type), story.checksum,
               tokenizer.decode(story.tokens));
  }
}

}  // namespace
}  // namespace trit

int main(int count, char** arguments) {
  if (count > 1 && std::string_view(arguments[1]) == "isas") {
    for (const trit::kernels::Isa isa : trit::kernels::available())
      fmt::print("{}\n", trit::kernels::to_string(isa));
  } else {
    trit::print_stories();
  }
}
