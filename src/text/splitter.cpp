#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/splitter.h"

#include <pcre2.h>

#include "base/error.h"

namespace trit {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[160];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// PCRE2's \s also matches U+180E, which lost White_Space in Unicode 6.3.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string result;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      result += pattern[i];
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      result += "\\p{White_Space}";
    } else if (escaped == 'S') {
      result += "\\P{White_Space}";
    } else {
      result += {'\\', escaped};
    }
  }
  return result;
}

// What one thread needs to match: room for the result and a stack for the JIT code.
class Matcher {
 public:
  Matcher() { pcre2_jit_stack_assign(context_, nullptr, stack_); }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  ~Matcher() {
    pcre2_jit_stack_free(stack_);
    pcre2_match_context_free(context_);
    pcre2_match_data_free(data_);
  }
  // The next match at or after `offset`: [begin, end), or {size, size} when there is none.
  std::pair<size_t, size_t> next(const pcre2_code* code, std::string_view text, size_t offset) {
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   offset, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data_, context_);
    if (result == PCRE2_ERROR_NOMATCH) return {text.size(), text.size()};
    if (result < 0) {
      bad_input("pre-tokenizer pattern fails at byte {} of the text: {}", offset,
                pcre2_message(result));
    }
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data_);
    return {match[0], match[1]};
  }

 private:
  pcre2_match_data* data_ = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context_ = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack_ = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);
};

}  // namespace

Splitter::Splitter(std::string pattern, std::string_view where)
    : pattern_(std::move(pattern)), scan_(find_word_scan(pattern_)) {
  if (scan_ != nullptr) return;
  if (pattern_.size() > kMaxPatternBytes) {
    bad_input("{}: pre-tokenizer pattern has {} bytes, more than {}", where, pattern_.size(),
              kMaxPatternBytes);
  }
  const std::string source = with_unicode_spaces(pattern_);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr) {
    bad_input("{}: pre-tokenizer pattern '{}': {} (at {})", where, printable(pattern_),
              pcre2_message(error), offset);
  }
  code_ =
      std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  // Where code may not be made writable and executable this fails, and the interpreter runs.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

void Splitter::split(std::string_view text,
                     const std::function<void(std::string_view)>& word) const {
  size_t offset = 0;
  while (scan_ != nullptr && offset < text.size()) {
    const size_t end = scan_(text, offset);
    word(text.substr(offset, end - offset));
    offset = end;
  }
  if (scan_ != nullptr) return;
  thread_local Matcher matcher;
  while (offset < text.size()) {
    const auto [begin, end] = matcher.next(static_cast<pcre2_code*>(code_.get()), text, offset);
    TRIT_CHECK(begin >= offset && end >= begin);  // PCRE2 refuses \K in a lookaround
    if (begin > offset) word(text.substr(offset, begin - offset));
    if (end > begin) word(text.substr(begin, end - begin));
    offset = end;
  }
}

}  // namespace trit
