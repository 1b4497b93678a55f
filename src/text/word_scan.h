#pragma once
// Hand-written equals of the well-known pre-tokenizer patterns; each is proven equal to its regular
// expression by a randomized test.

#include <cstddef>
#include <string_view>

namespace trit {

// Where the word that begins at `offset` < text.size() ends. `text` must be valid UTF-8. These
// patterns leave no gaps: each word begins where the last one ended.
using WordScan = size_t (*)(std::string_view text, size_t offset);

// Null when there is none for the pattern.
WordScan find_word_scan(std::string_view pattern);

}  // namespace trit
