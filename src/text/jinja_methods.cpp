// The methods of strings, lists and dicts.

#include <algorithm>
#include <map>

#include "text/jinja_builtins.h"
#include "text/jinja_unicode.h"

namespace trit::jinja {
namespace {

using Strings = std::vector<std::string_view>;

Value list_of(Budget& budget, const Strings& parts) {
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(make_string(budget, std::string(part)));
  return make_list(budget, std::move(items));
}

bool absent(const Value* value) { return value == nullptr || value->is_none(); }

Value stripped(Budget& budget, const Value& self, const Args& args, bool left, bool right) {
  args.only(1);
  std::optional<std::string_view> set;
  if (const Value* chars = args.find(0, ""); !absent(chars)) set = need_string(*chars);
  return make_string(budget, std::string(strip(*self.string(), set, left, right)));
}
Value strip_method(Budget& b, const Value& s, const Args& a) {
  return stripped(b, s, a, true, true);
}
Value lstrip(Budget& b, const Value& s, const Args& a) { return stripped(b, s, a, true, false); }
Value rstrip(Budget& b, const Value& s, const Args& a) { return stripped(b, s, a, false, true); }

// At runs of white space, as split() without a separator.
Strings split_words(std::string_view text, int64_t most) {
  Strings parts;
  text = strip(text, std::nullopt, true, false);
  while (!text.empty()) {
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(character_at(text, end)))
      end += character_length(text, end);
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), std::nullopt, true, false);
  }
  return parts;
}

Strings rsplit_words(std::string_view text, int64_t most) {
  Strings parts;
  text = strip(text, std::nullopt, false, true);
  while (!text.empty()) {
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(text);
      break;
    }
    const Strings words = split_words(text, -1);
    parts.push_back(words.back());
    text.remove_suffix(words.back().size());
    text = strip(text, std::nullopt, false, true);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Strings split_at(std::string_view text, std::string_view separator, int64_t most) {
  Strings parts;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    const size_t end = text.find(separator);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + separator.size());
  }
  parts.push_back(text);
  return parts;
}

Strings rsplit_at(std::string_view text, std::string_view separator, int64_t most) {
  Strings parts;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    const size_t begin = text.rfind(separator);
    if (begin == std::string_view::npos) break;
    parts.push_back(text.substr(begin + separator.size()));
    text = text.substr(0, begin);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split_method(Budget& budget, const Value& self, const Args& args, bool from_right) {
  args.only(2, {"sep", "maxsplit"});
  const int64_t most = args.integer_or(1, "maxsplit", -1);
  const std::string& text = *self.string();
  budget.allocate(2 * sizeof(std::string_view), text.size() / 2 + 1);
  const Value* separator = args.find(0, "sep");
  if (absent(separator)) {
    // From the right each word is found anew from the left: charge for it.
    if (from_right) budget.step(static_cast<int64_t>(text.size()));
    if (from_right && most < 0) return list_of(budget, split_words(text, most));
    if (from_right) budget.step(static_cast<int64_t>(text.size()) * std::min<int64_t>(most, 1000));
    return list_of(budget, from_right ? rsplit_words(text, most) : split_words(text, most));
  }
  const std::string& at = need_string(*separator);
  if (at.empty()) fault("the separator of split is empty");
  return list_of(budget, from_right ? rsplit_at(text, at, most) : split_at(text, at, most));
}
Value split(Budget& b, const Value& s, const Args& a) { return split_method(b, s, a, false); }
Value rsplit(Budget& b, const Value& s, const Args& a) { return split_method(b, s, a, true); }

Value partition_method(Budget& budget, const Value& self, const Args& args, bool from_right) {
  args.only(1);
  const std::string_view text = *self.string();
  const std::string& at = need_string(args.need(0, "sep"));
  if (at.empty()) fault("the separator of partition is empty");
  const size_t place = from_right ? text.rfind(at) : text.find(at);
  const auto make = [&](std::string_view a, std::string_view b, std::string_view c) {
    return make_tuple(budget,
                      {make_string(budget, std::string(a)), make_string(budget, std::string(b)),
                       make_string(budget, std::string(c))});
  };
  if (place == std::string_view::npos) return from_right ? make("", "", text) : make(text, "", "");
  return make(text.substr(0, place), at, text.substr(place + at.size()));
}
Value partition(Budget& b, const Value& s, const Args& a) {
  return partition_method(b, s, a, false);
}
Value rpartition(Budget& b, const Value& s, const Args& a) {
  return partition_method(b, s, a, true);
}

// str.splitlines: more characters end a line than '\n'.
bool ends_line(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

Value splitlines(Budget& budget, const Value& self, const Args& args) {
  args.only(1, {"keepends"});
  const bool keep = args.truthy_or(0, "keepends", false);
  const std::string_view text = *self.string();
  Strings lines;
  budget.allocate(sizeof(std::string_view), text.size());
  for (size_t begin = 0, i = 0; i < text.size();) {
    const char32_t c = character_at(text, i);
    const size_t line = i;
    i += character_length(text, i);
    if (c == U'\r' && i < text.size() && text[i] == '\n') ++i;
    if (ends_line(c)) {
      lines.push_back(text.substr(begin, (keep ? i : line) - begin));
      begin = i;
    } else if (i >= text.size()) {
      lines.push_back(text.substr(begin));
    }
  }
  return list_of(budget, lines);
}

// The part of the string that startswith, find, count and so on look at: [begin, end) in characters.
std::string_view part(const Value& self, const Args& args, size_t& offset) {
  const std::string_view text = *self.string();
  offset = 0;
  if (args.positional.size() < 2) return text;
  const auto size = static_cast<int64_t>(count_characters(text));
  const auto place = [&](size_t index, int64_t fallback) {
    const Value* value = args.find(index, "");
    if (absent(value)) return fallback;
    const int64_t number = args.integer_or(index, "", fallback);
    return std::clamp(number < 0 ? std::max(number, -size) + size : number, int64_t{0}, size);
  };
  const int64_t begin = place(1, 0), end = std::max(begin, place(2, size));
  std::vector<size_t> offsets;
  for (size_t i = 0; i < text.size(); i += character_length(text, i)) offsets.push_back(i);
  offsets.push_back(text.size());
  offset = offsets[static_cast<size_t>(begin)];
  return text.substr(offset, offsets[static_cast<size_t>(end)] - offset);
}

Value affix(Budget& budget, const Value& self, const Args& args, bool begins) {
  args.only(3);
  size_t offset = 0;
  const std::string_view text = part(self, args, offset);
  budget.step(static_cast<int64_t>(self.string()->size()) / 64);
  const auto matches = [&](const Value& wanted) {
    const std::string& word = need_string(wanted);
    return begins ? text.starts_with(word) : text.ends_with(word);
  };
  const Value& wanted = args.need(0, "prefix");
  const Sequence* several = wanted.sequence();
  if (several == nullptr || several->kind != Sequence::Kind::kTuple) return matches(wanted);
  return std::any_of(several->items.begin(), several->items.end(), matches);
}
Value startswith(Budget& b, const Value& s, const Args& a) { return affix(b, s, a, true); }
Value endswith(Budget& b, const Value& s, const Args& a) { return affix(b, s, a, false); }

int64_t place_of(Budget& budget, const Value& self, const Args& args, bool last) {
  args.only(3);
  size_t offset = 0;
  const std::string_view text = part(self, args, offset);
  budget.step(static_cast<int64_t>(self.string()->size()) / 16);
  const std::string& wanted = need_string(args.need(0, "sub"));
  const size_t place = last ? text.rfind(wanted) : text.find(wanted);
  if (place == std::string_view::npos) return -1;
  return static_cast<int64_t>(
      count_characters(std::string_view(*self.string()).substr(0, offset + place)));
}
Value find(Budget& b, const Value& s, const Args& a) { return place_of(b, s, a, false); }
Value rfind(Budget& b, const Value& s, const Args& a) { return place_of(b, s, a, true); }
Value found(int64_t place) {
  if (place < 0) fault("substring not found");
  return place;
}
Value index_of(Budget& b, const Value& s, const Args& a) { return found(place_of(b, s, a, false)); }
Value rindex_of(Budget& b, const Value& s, const Args& a) { return found(place_of(b, s, a, true)); }

Value count(Budget& budget, const Value& self, const Args& args) {
  args.only(3);
  size_t offset = 0;
  const std::string_view text = part(self, args, offset);
  const std::string& wanted = need_string(args.need(0, "sub"));
  budget.step(static_cast<int64_t>(text.size()) / 16);
  if (wanted.empty()) return static_cast<int64_t>(count_characters(text)) + 1;
  int64_t times = 0;
  for (size_t i = text.find(wanted); i != std::string_view::npos;
       i = text.find(wanted, i + wanted.size()))
    ++times;
  return times;
}

Value replace(Budget& budget, const Value& self, const Args& args) {
  args.only(3);
  Args strings;
  strings.positional = {self, args.need(0, "old"), args.need(1, "new")};
  need_string(strings.positional[1]);
  need_string(strings.positional[2]);
  Args rest;
  rest.positional.assign(args.positional.begin(), args.positional.end());
  return find_filter("replace")(budget, self, rest);
}

Value join(Budget& budget, const Value& self, const Args& args) {
  args.only(1);
  const std::vector<Value> parts = elements(budget, args.need(0, "iterable"));
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& piece = need_string(parts[i]);
    budget.allocate(piece.size() + self.string()->size());
    if (i > 0) out += *self.string();
    out += piece;
  }
  return out;
}

Value upper(Budget& b, const Value& s, const Args& a) {
  a.only(0);
  return make_string(b, to_upper(*s.string()));
}
Value lower(Budget& b, const Value& s, const Args& a) {
  a.only(0);
  return make_string(b, to_lower(*s.string()));
}
Value capitalize(Budget& b, const Value& s, const Args& a) {
  a.only(0);
  return make_string(b, to_capital(*s.string()));
}
Value title(Budget& b, const Value& s, const Args& a) {
  a.only(0);
  return make_string(b, to_title(*s.string()));
}

template <class Test>
Value all_characters(const Value& self, const Args& args, const Test& test) {
  args.only(0);
  const std::string_view text = *self.string();
  for (size_t i = 0; i < text.size(); i += character_length(text, i))
    if (!test(character_at(text, i))) return false;
  return !text.empty();
}
Value isspace_method(Budget&, const Value& s, const Args& a) {
  return all_characters(s, a, is_space);
}
Value isalpha_method(Budget&, const Value& s, const Args& a) {
  return all_characters(s, a, is_letter);
}
Value isdigit_method(Budget&, const Value& s, const Args& a) {
  return all_characters(s, a, is_digit);
}
Value isalnum_method(Budget&, const Value& s, const Args& a) {
  return all_characters(s, a, [](char32_t c) { return is_digit(c) || is_letter(c); });
}
Value isupper_method(Budget&, const Value& s, const Args&) { return is_upper(*s.string()); }
Value islower_method(Budget&, const Value& s, const Args&) { return is_lower(*s.string()); }

Value removeprefix(Budget& budget, const Value& self, const Args& args) {
  std::string_view text = *self.string();
  const std::string& word = need_string(args.need(0, "prefix"));
  if (text.starts_with(word)) text.remove_prefix(word.size());
  return make_string(budget, std::string(text));
}
Value removesuffix(Budget& budget, const Value& self, const Args& args) {
  std::string_view text = *self.string();
  const std::string& word = need_string(args.need(0, "suffix"));
  if (text.ends_with(word)) text.remove_suffix(word.size());
  return make_string(budget, std::string(text));
}

Value list_count(Budget& budget, const Value& self, const Args& args) {
  const Value& wanted = args.need(0, "value");
  int64_t times = 0;
  for (const Value& item : self.sequence()->items) times += equal(budget, item, wanted);
  return times;
}
Value list_index(Budget& budget, const Value& self, const Args& args) {
  args.only(1);
  const std::vector<Value>& items = self.sequence()->items;
  const Value& wanted = args.need(0, "value");
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(budget, items[i], wanted)) return static_cast<int64_t>(i);
  fault("the value is not in the list");
}
Value itself(Budget&, const Value& self, const Args& args) {
  args.only(0);
  return self;
}
Value refused(Budget&, const Value& self, const Args&) {
  fault("a {} cannot be changed in a template", self.type());
}

Value dict_get(Budget& budget, const Value& self, const Args& args) {
  args.only(2);
  const Value* value = self.dict()->find(budget, args.need(0, "key"));
  if (value != nullptr) return *value;
  const Value* fallback = args.find(1, "");
  return fallback == nullptr ? Value(Value::None{}) : *fallback;
}

enum class View { kKeys, kValues, kItems };
template <View view>
Value dict_view(Budget& budget, const Value& self, const Args& args) {
  args.only(0);
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->items) {
    items.push_back(view == View::kKeys     ? key
                    : view == View::kValues ? value
                                            : make_tuple(budget, {key, value}));
  }
  return make_sequence(budget, Sequence::Kind::kView, std::move(items));
}

using Table = std::map<std::string_view, Function>;

const Table& string_methods() {
  static const Table table = {{"strip", strip_method},
                              {"lstrip", lstrip},
                              {"rstrip", rstrip},
                              {"split", split},
                              {"rsplit", rsplit},
                              {"partition", partition},
                              {"rpartition", rpartition},
                              {"splitlines", splitlines},
                              {"startswith", startswith},
                              {"endswith", endswith},
                              {"find", find},
                              {"rfind", rfind},
                              {"index", index_of},
                              {"rindex", rindex_of},
                              {"count", count},
                              {"replace", replace},
                              {"join", join},
                              {"upper", upper},
                              {"lower", lower},
                              {"capitalize", capitalize},
                              {"title", title},
                              {"isspace", isspace_method},
                              {"isalpha", isalpha_method},
                              {"isdigit", isdigit_method},
                              {"isalnum", isalnum_method},
                              {"isupper", isupper_method},
                              {"islower", islower_method},
                              {"removeprefix", removeprefix},
                              {"removesuffix", removesuffix}};
  return table;
}

const Table& list_methods() {
  static const Table table = {{"count", list_count}, {"index", list_index}, {"copy", itself},
                              {"append", refused},   {"extend", refused},   {"insert", refused},
                              {"pop", refused},      {"remove", refused},   {"reverse", refused},
                              {"sort", refused},     {"clear", refused}};
  return table;
}

const Table& dict_methods() {
  static const Table table = {{"get", dict_get},
                              {"keys", dict_view<View::kKeys>},
                              {"values", dict_view<View::kValues>},
                              {"copy", itself},
                              {"items", dict_view<View::kItems>},
                              {"update", refused},
                              {"setdefault", refused},
                              {"pop", refused},
                              {"popitem", refused},
                              {"clear", refused}};
  return table;
}

// What Python's strings can do and these cannot.
constexpr std::string_view kUnsupported[] = {
    "casefold", "center",    "encode",       "expandtabs", "format",      "format_map",
    "isascii",  "isdecimal", "isidentifier", "isnumeric",  "isprintable", "istitle",
    "ljust",    "maketrans", "rjust",        "swapcase",   "translate",   "zfill"};

}  // namespace

Function find_method(const Value& self, std::string_view name) {
  const Sequence* list = self.sequence();
  const bool tuple = list != nullptr && list->kind != Sequence::Kind::kList;
  if (list != nullptr && !list->is_indexed()) return nullptr;
  if (self.string() == nullptr && list == nullptr && self.dict() == nullptr) return nullptr;
  const Table& table = self.string() != nullptr ? string_methods()
                       : list != nullptr        ? list_methods()
                                                : dict_methods();
  const auto found = table.find(name);
  if (found != table.end())
    return tuple && name != "count" && name != "index" ? nullptr : found->second;
  if (self.string() != nullptr &&
      std::find(std::begin(kUnsupported), std::end(kUnsupported), name) != std::end(kUnsupported))
    fault("the method '{}' of strings is not supported", name);
  return nullptr;
}

}  // namespace trit::jinja
