// tiktoken's rank files, as LLaMA-3's original tokenizer.model: lines of a token in base64, a space and
// its rank, which is its id. Special tokens stand elsewhere: in LLaMA's code, or tokenizer_config.json.

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/error.h"
#include "text/splitter.h"
#include "text/token_splits.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_model_parts.h"

namespace trit {
namespace {

constexpr size_t kLlama3Ranks = 128000;
constexpr int kLlama3Specials = 256;

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648, section 4. Empty when `text` is not base64.
std::string from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return "";
  const size_t digits = text.find_last_not_of('=') + 1;
  if (text.size() - digits > 2) return "";
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int digit = base64_digit(text[i]);
    if (digit < 0) return "";
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 > 0) bytes += static_cast<char>(bits >> (6 - i % 4 * 2) & 0xFF);
  }
  return bytes;
}

struct Line {
  std::string token;  // empty when the line is garbled
  size_t rank = 0;
};

Line parse_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const size_t space = line.find(' ');
  if (space == line.npos) return {};
  Line result{from_base64(line.substr(0, space))};
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, result.rank);
  if (error != std::errc() || stop != end) result.token.clear();
  return result;
}

// The names of meta-llama/Meta-Llama-3-8B's 256 special tokens, by their place after the ranks.
std::string llama3_special(int place) {
  switch (place) {
    case 0:
      return "<|begin_of_text|>";
    case 1:
      return "<|end_of_text|>";
    case 6:
      return "<|start_header_id|>";
    case 7:
      return "<|end_header_id|>";
    case 9:
      return "<|eot_id|>";
    default:
      return fmt::format("<|reserved_special_token_{}|>", place < 6    ? place - 2
                                                          : place == 8 ? 4
                                                                       : place - 5);
  }
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  return !parse_line(bytes.substr(0, bytes.find('\n'))).token.empty();
}

TokenizerSpec parse_tiktoken_model(std::string_view bytes, std::string_view where) {
  TokenizerSpec spec;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    Line line = parse_line(bytes.substr(begin, end - begin));
    if (line.token.empty() || line.rank != spec.tokens.size()) {
      bad_input("{}: line {} is not a token in base64, a space and the rank {}", where,
                spec.tokens.size() + 1, spec.tokens.size());
    }
    spec.tokens.push_back(std::move(line.token));
    begin = end + 1;
  }
  spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
  std::vector<int32_t> ranks(spec.tokens.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  spec.merges = merges_by_rank(spec, ranks, where);
  spec.patterns = {std::string(kLlama3Pattern)};
  spec.ignore_merges = true;
  if (spec.tokens.size() != kLlama3Ranks) return spec;
  for (int place = 0; place < kLlama3Specials; ++place) {
    spec.tokens.push_back(llama3_special(place));
    spec.kinds.push_back(TokenKind::kSpecial);
  }
  spec.bos_id = kLlama3Ranks;
  spec.eos_id = kLlama3Ranks + 1;
  spec.add_bos = true;
  return spec;
}

TokenizerSpec parse_tokenizer_model(std::string_view bytes, std::string_view where) {
  return looks_like_tiktoken(bytes) ? parse_tiktoken_model(bytes, where)
                                    : parse_sentencepiece_model(bytes, where);
}

}  // namespace trit
