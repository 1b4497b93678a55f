#pragma once
// Cuts text into the words that BPE merges never cross, by a regular expression over Unicode classes.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "text/word_scan.h"

namespace trit {

// The pattern of LLaMA-3 (and of new tokenizers).
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The pattern of Qwen2 and Qwen3: LLaMA-3's with each digit a word of its own.
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The pattern of GPT-2.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// A compiled pattern: a hand-written scan for the ones above, else PCRE2 with UTF, UCP and, where the
// machine permits, JIT. \s means Unicode's White_Space, as in the regular expressions of Oniguruma
// and Rust. Copies share the compiled pattern; all calls are thread-safe.
class Splitter {
 public:
  // Throws Error naming the file `where`, the offset and PCRE2's reason when the pattern is no good.
  Splitter(std::string pattern, std::string_view where);

  // Calls word() for each match and for each stretch between matches, in order: together they are
  // the text. `text` must be valid UTF-8. Throws Error when the pattern needs too many steps.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;
  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  WordScan scan_ = nullptr;
  std::shared_ptr<void> code_;  // null when there is a scan
};

}  // namespace trit
