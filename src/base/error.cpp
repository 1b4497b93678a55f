#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace trit {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

std::string printable(std::string_view text) {
  constexpr size_t kLimit = 80;
  constexpr std::string_view kCut = "...";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7F && c != '\\';
    const std::string piece = plain ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
    if (shown.size() + piece.size() + kCut.size() > kLimit) return shown.append(kCut);
    shown += piece;
  }
  return shown;
}

}  // namespace trit
