#include "text/utf8.h"

#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

enum class Kind { kCharacter, kBroken, kPartial };
struct Step {
  Kind kind;
  size_t length;
};

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Table 3-7 of The Unicode Standard: the lead byte fixes the length and the range of byte 2.
struct Lead {
  size_t length;
  uint8_t low, high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// The character or the maximal broken subpart at `offset`.
Step step_at(std::string_view text, size_t offset) {
  Lead lead = lead_of(static_cast<uint8_t>(text[offset]));
  if (lead.length == 0) return {Kind::kBroken, 1};
  for (size_t i = 1; i < lead.length; ++i) {
    if (offset + i == text.size()) return {Kind::kPartial, i};
    const auto byte = static_cast<uint8_t>(text[offset + i]);
    if (byte < lead.low || byte > lead.high) return {Kind::kBroken, i};
    lead.low = 0x80, lead.high = 0xBF;
  }
  return {Kind::kCharacter, lead.length};
}

bool eight_ascii(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return (word & 0x8080808080808080u) == 0;
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size() && eight_ascii(text.data() + i)) {
      i += 8;
      continue;
    }
    const Step step = step_at(text, i);
    if (step.kind != Kind::kCharacter) break;
    i += step.length;
  }
  return i;
}

void check_utf8(std::string_view text, std::string_view where) {
  const size_t valid = valid_utf8_prefix(text);
  if (valid == text.size()) return;
  bad_input("{}: invalid UTF-8 at byte {} (0x{:02X}); text must be UTF-8", where, valid,
            static_cast<unsigned>(static_cast<uint8_t>(text[valid])));
}

std::string take_utf8(std::string& bytes, bool last) {
  std::string text;
  size_t i = 0;
  while (i < bytes.size()) {
    const size_t valid = valid_utf8_prefix(std::string_view(bytes).substr(i));
    text.append(bytes, i, valid);
    i += valid;
    if (i == bytes.size()) break;
    const Step step = step_at(bytes, i);
    if (step.kind == Kind::kPartial && !last) break;
    text += kReplacement;
    i += step.length;
  }
  bytes.erase(0, i);
  return text;
}

}  // namespace trit
