#include "text/added_tokens.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trit {
namespace {

bool touches_word(std::string_view text, size_t begin, size_t end) {
  const auto is_word = [&](size_t i) { return is_word_character(character_at(text, i).code); };
  return (begin > 0 && is_word(character_before(text, begin))) ||
         (end < text.size() && is_word(end));
}

bool is_blank(std::string_view text, size_t i) {
  return class_of(character_at(text, i).code) == CharacterClass::kSpace;
}

}  // namespace

AddedTokens::AddedTokens(const TokenizerSpec& spec, std::string_view where) : spec_(spec) {
  std::unordered_map<std::string_view, int32_t> seen;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.kinds[i] != TokenKind::kSpecial && spec.kinds[i] != TokenKind::kAdded) continue;
    const std::string& token = spec.tokens[i];
    const auto id = static_cast<int32_t>(i);
    check_utf8(token, fmt::format("{}: added token {}", where, id));
    const auto [other, is_new] = seen.emplace(token, id);
    if (!is_new) {
      bad_input("{}: tokens {} and {} are both '{}'", where, other->second, id, printable(token));
    }
    const auto first = static_cast<uint8_t>(token[0]);
    by_first_byte_[first].push_back(id);
    begins_[first] = true;
  }
  for (auto& ids : by_first_byte_) {
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      return spec.tokens[static_cast<size_t>(a)].size() >
             spec.tokens[static_cast<size_t>(b)].size();
    });
  }
}

int32_t AddedTokens::at(std::string_view text, size_t offset, bool parse_special) const {
  for (const int32_t id : by_first_byte_[static_cast<uint8_t>(text[offset])]) {
    const bool cut = parse_special || spec_.kinds[static_cast<size_t>(id)] == TokenKind::kAdded;
    if (cut && text.substr(offset).starts_with(spec_.tokens[static_cast<size_t>(id)])) return id;
  }
  return -1;
}

AddedTokens::Match AddedTokens::next(std::string_view text, size_t from, bool parse_special) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<uint8_t>(text[begin])]) continue;
    const int32_t id = at(text, begin, parse_special);
    if (id < 0) continue;
    size_t first = begin, end = begin + spec_.tokens[static_cast<size_t>(id)].size();
    const auto options = spec_.added_options.find(id);
    if (options == spec_.added_options.end()) return {first, end, id};
    if (options->second.single_word && touches_word(text, begin, end)) {
      begin = end - 1;
      continue;
    }
    while (options->second.lstrip && first > from && is_blank(text, character_before(text, first)))
      first = character_before(text, first);
    while (options->second.rstrip && end < text.size() && is_blank(text, end))
      end += character_at(text, end).bytes;
    return {first, end, id};
  }
  return {text.size(), text.size(), -1};
}

int32_t AddedTokens::find(std::string_view token) const {
  if (token.empty()) return -1;
  const auto& ids = by_first_byte_[static_cast<uint8_t>(token[0])];
  const auto found = std::find_if(ids.begin(), ids.end(), [&](int32_t id) {
    return spec_.tokens[static_cast<size_t>(id)] == token;
  });
  return found == ids.end() ? -1 : *found;
}

}  // namespace trit
