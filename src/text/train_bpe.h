#pragma once
// Training of byte-level BPE tokenizers.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/splitter.h"
#include "text/tokenizer.h"

namespace trit {

struct TrainBpeOptions {
  int32_t vocab_size = 4096;  // specials, 256 bytes and merges together
  // The first one serves as bos, eos and boundary between documents.
  std::vector<std::string> special_tokens = {"<|endoftext|>"};
  int64_t min_frequency = 2;      // a pair must occur that often to be merged
  int64_t max_bytes = INT64_MAX;  // documents that begin after so many bytes are left out
  std::string pattern{kLlama3Pattern};
};

// Calls its argument once for each document (UTF-8).
using DocumentSource = std::function<void(const std::function<void(std::string_view)>&)>;
// `stage` is "counting words" (done: bytes of text, total 0) or "merging" (tokens of the vocabulary).
using TrainBpeProgress = std::function<void(std::string_view stage, int64_t done, int64_t total)>;

// Ids: the special tokens first, then the 256 bytes in byte_level_order(), then merged tokens in the
// order of their merges. Each step merges the pair that is most frequent inside words; of equally
// frequent ones the pair with the smaller (left id, right id). So the result depends on nothing but
// the word counts, and equals that of Hugging Face's BpeTrainer with the same settings.
// When no pair is frequent enough the vocabulary stays smaller than asked.
// Throws Error on invalid UTF-8, on text that is empty, and on options out of range.
Tokenizer train_bpe(const DocumentSource& source, const TrainBpeOptions& options,
                    const TrainBpeProgress& progress = {});

}  // namespace trit
