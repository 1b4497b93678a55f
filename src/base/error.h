#pragma once
// Errors by tier. Bad input throws trit::Error with what, where and a hint; it is caught once, in
// the CLI's main. A broken invariant is TRIT_CHECK and aborts. Kernels do neither.

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace trit {

// What the program exits with when the error reaches main.
enum class ExitCode { kFailure = 1, kBadInput = 2 };

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::kBadInput)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// Wrong usage or wrong input. The message is one line: file, field, value, and what would be right.
template <class... Args>
[[noreturn]] void bad_input(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), ExitCode::kBadInput);
}

// The input was right, the machine was not: a full disk, a refused allocation.
template <class... Args>
[[noreturn]] void failure(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), ExitCode::kFailure);
}

// Prints the broken condition to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

// `text` as it may be shown inside an error: at most 80 characters of one line of ASCII; other bytes
// and the backslash as \xHH, "..." where it was cut.
std::string printable(std::string_view text);

}  // namespace trit

#define TRIT_CHECK(condition) \
  ((condition) ? (void)0 : ::trit::check_failed(#condition, __FILE__, __LINE__))
