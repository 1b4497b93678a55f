#include "text/byte_level.h"

namespace trit {
namespace {

constexpr int kLastCharacter = 0x143;  // U+0100 + 67 moved bytes

bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<uint8_t, 256> order{};
  std::array<uint16_t, 256> character{};
  std::array<int16_t, kLastCharacter + 1> byte{};

  Alphabet() {
    byte.fill(-1);
    size_t rank = 0;
    uint16_t moved = 0x100;
    for (int b = 0; b < 256; ++b) {
      if (stands_for_itself(b)) assign(b, static_cast<uint16_t>(b), rank++);
    }
    for (int b = 0; b < 256; ++b) {
      if (!stands_for_itself(b)) assign(b, moved++, rank++);
    }
  }
  void assign(int b, uint16_t c, size_t rank) {
    order[rank] = static_cast<uint8_t>(b);
    character[static_cast<size_t>(b)] = c;
    byte[c] = static_cast<int16_t>(b);
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<uint8_t, 256>& byte_level_order() { return alphabet().order; }

std::string to_byte_level(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) {
    const unsigned c = alphabet().character[static_cast<uint8_t>(byte)];
    if (c < 0x80) {
      spelled += static_cast<char>(c);
    } else {
      spelled += static_cast<char>(0xC0 | (c >> 6));
      spelled += static_cast<char>(0x80 | (c & 0x3F));
    }
  }
  return spelled;
}

std::optional<std::string> from_byte_level(std::string_view spelled) {
  std::string bytes;
  for (size_t i = 0; i < spelled.size(); ++i) {
    unsigned c = static_cast<uint8_t>(spelled[i]);
    if (c >= 0x80) {  // every other character of the alphabet takes two bytes
      if (c < 0xC2 || c > 0xDF || i + 1 == spelled.size()) return std::nullopt;
      const unsigned second = static_cast<uint8_t>(spelled[++i]);
      if ((second & 0xC0) != 0x80) return std::nullopt;
      c = (c & 0x1F) << 6 | (second & 0x3F);
    }
    if (c > kLastCharacter || alphabet().byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().byte[c]);
  }
  return bytes;
}

}  // namespace trit
