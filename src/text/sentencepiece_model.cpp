// SentencePiece's model file (sentencepiece_model.proto): the pieces, their scores and a few options.

#include <cstring>

#include "base/error.h"
#include "text/token_splits.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_model_parts.h"

namespace trit {
namespace {

// Wire types of protocol buffers.
enum Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0, wire = 0;
  uint64_t value = 0;      // of kVarint, kFixed32 and kFixed64
  std::string_view bytes;  // of kBytes
};

// Walks the fields of one message.
class Message {
 public:
  Message(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}
  bool next(Field& field) {
    if (offset_ == bytes_.size()) return false;
    const uint64_t key = varint();
    field = {key >> 3, key & 7, 0, {}};
    switch (field.wire) {
      case kVarint:
        field.value = varint();
        break;
      case kBytes:
        field.bytes = take(varint());
        break;
      case kFixed32:
        std::memcpy(&field.value, take(4).data(), 4);
        break;
      case kFixed64:
        std::memcpy(&field.value, take(8).data(), 8);
        break;
      default:
        bad_input("{}: no SentencePiece model: field {} has the wire type {}", where_, field.number,
                  field.wire);
    }
    return true;
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - offset_) {
      bad_input("{}: no SentencePiece model: a field of {} bytes goes past the end", where_, count);
    }
    const std::string_view part = bytes_.substr(offset_, count);
    offset_ += count;
    return part;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    bad_input("{}: no SentencePiece model: a number has more than ten bytes", where_);
  }

  std::string_view bytes_, where_;
  size_t offset_ = 0;
};

void read_piece(std::string_view bytes, TokenizerSpec& spec, std::string_view where) {
  Message message(bytes, where);
  std::string_view piece;
  float score = 0;
  uint64_t type = 1;
  for (Field f; message.next(f);) {
    if (f.number == 1 && f.wire == kBytes) piece = f.bytes;
    if (f.number == 2 && f.wire == kFixed32) std::memcpy(&score, &f.value, sizeof score);
    if (f.number == 3 && f.wire == kVarint) type = f.value;
  }
  add_piece(spec, piece, type > 6 ? -1 : static_cast<int64_t>(type), where);
  spec.scores.push_back(score);
}

// Negative numbers take ten bytes, as 64 bits.
int32_t role(uint64_t value) { return static_cast<int32_t>(static_cast<int64_t>(value)); }

void read_trainer(std::string_view bytes, TokenizerSpec& spec, std::string_view where) {
  Message message(bytes, where);
  uint64_t model = 1;
  for (Field f; message.next(f);) {
    if (f.wire != kVarint) continue;
    if (f.number == 3) model = f.value;
    if (f.number == 24 && f.value != 0)
      bad_input("{}: spaces after words are not supported", where);
    if (f.number == 40) spec.unk_id = role(f.value);
    if (f.number == 41) spec.bos_id = role(f.value);
    if (f.number == 42) spec.eos_id = role(f.value);
    if (f.number == 43) spec.pad_id = role(f.value);
  }
  if (model != 2) {
    bad_input("{}: SentencePiece model type {}; supported is 2 (BPE)", where, model);
  }
}

void read_normalizer(std::string_view bytes, TokenizerSpec& spec, std::string_view where) {
  Message message(bytes, where);
  bool drops_blanks = true, escapes = true;
  for (Field f; message.next(f);) {
    if (f.number == 2 && !f.bytes.empty()) {
      bad_input("{}: a SentencePiece model that normalizes characters is not supported", where);
    }
    if (f.wire != kVarint) continue;
    if (f.number == 3 && f.value == 0) spec.space_prefix = SpacePrefix::kNone;
    if (f.number == 4) drops_blanks = f.value != 0;
    if (f.number == 5) escapes = f.value != 0;
  }
  if (drops_blanks || !escapes) {
    bad_input("{}: a SentencePiece model that drops blanks or leaves them is not supported", where);
  }
}

}  // namespace

TokenizerSpec parse_sentencepiece_model(std::string_view bytes, std::string_view where) {
  TokenizerSpec spec;
  spec.model = TokenizerModel::kSentencePiece;
  spec.space_prefix = SpacePrefix::kAlways;
  spec.unk_id = 0, spec.bos_id = 1, spec.eos_id = 2;  // the defaults of the .proto
  bool has_trainer = false, has_normalizer = false;
  Message message(bytes, where);
  for (Field f; message.next(f);) {
    if (f.wire != kBytes) continue;
    if (f.number == 1) read_piece(f.bytes, spec, where);
    if (f.number == 2) read_trainer(f.bytes, spec, where), has_trainer = true;
    if (f.number == 3) read_normalizer(f.bytes, spec, where), has_normalizer = true;
  }
  if (spec.tokens.empty() || !has_trainer || !has_normalizer) {
    bad_input("{}: no SentencePiece model: pieces, trainer_spec or normalizer_spec is missing",
              where);
  }
  spec.add_bos = spec.bos_id >= 0;
  return spec;
}

int byte_of_spelling(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'A' || c > 'F')) return -1;
    value = value * 16 + (digit ? c - '0' : c - 'A' + 10);
  }
  return value;
}

std::string without_space_symbols(std::string_view piece) {
  std::string token;
  for (size_t i = 0; i < piece.size();) {
    const bool symbol = piece.substr(i).starts_with(kSpaceSymbol);
    token += symbol ? ' ' : piece[i];
    i += symbol ? kSpaceSymbol.size() : 1;
  }
  return token;
}

void add_piece(TokenizerSpec& spec, std::string_view piece, int64_t type, std::string_view where) {
  const auto add = [&](std::string token, TokenKind kind) {
    spec.tokens.push_back(std::move(token));
    spec.kinds.push_back(kind);
  };
  switch (type) {
    case 1:
      return add(without_space_symbols(piece), TokenKind::kNormal);
    case 2:
    case 3:
    case 5:
      return add(std::string(piece), TokenKind::kSpecial);
    case 4:
      return add(std::string(piece), TokenKind::kAdded);
    case 6: {
      const int byte = byte_of_spelling(piece);
      if (byte >= 0) return add(std::string(1, static_cast<char>(byte)), TokenKind::kByte);
      bad_input("{}: token {} '{}' is of type 6, but no byte such as <0x0A>", where,
                spec.tokens.size(), printable(piece));
    }
    default:
      bad_input("{}: token {} '{}' has the type {}, expected 1 ... 6", where, spec.tokens.size(),
                printable(piece), type);
  }
}

}  // namespace trit
