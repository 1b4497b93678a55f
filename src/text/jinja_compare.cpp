// Equality, order and text of values, as Python has them.

#include <charconv>
#include <cmath>

#include "text/jinja_unicode.h"
#include "text/jinja_value.h"

namespace trit::jinja {
namespace {

bool equal_numbers(const Value& a, const Value& b) {
  int64_t room_a = 0, room_b = 0;
  const int64_t* left = a.integer(room_a);
  const int64_t* right = b.integer(room_b);
  if (left != nullptr && right != nullptr) return *left == *right;
  return a.number() == b.number();
}

bool equal_items(Budget& budget, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!equal(budget, a[i], b[i])) return false;
  return true;
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = b.find(budget, key);
    if (other == nullptr || !equal(budget, value, *other)) return false;
  }
  return true;
}

}  // namespace

bool equal(Budget& budget, const Value& a, const Value& b) {
  budget.step();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.string() != nullptr && b.string() != nullptr) {
    budget.step(static_cast<int64_t>(a.string()->size()) / 64);
    return *a.string() == *b.string();
  }
  if (a.get_if<Value::Markup>() != nullptr || b.get_if<Value::Markup>() != nullptr) {
    const bool texts = (a.string() != nullptr || a.get_if<Value::Markup>() != nullptr) &&
                       (b.string() != nullptr || b.get_if<Value::Markup>() != nullptr);
    return texts && to_text(budget, a) == to_text(budget, b);
  }
  if (a.sequence() != nullptr && b.sequence() != nullptr) {
    return a.sequence() == b.sequence() ||
           (a.sequence()->kind == b.sequence()->kind && a.sequence()->is_indexed() &&
            equal_items(budget, a.sequence()->items, b.sequence()->items));
  }
  if (a.dict() != nullptr && b.dict() != nullptr) return equal_dicts(budget, *a.dict(), *b.dict());
  return a.storage().index() == b.storage().index() && same(a, b);
}

bool same(const Value& a, const Value& b) {
  if (a.storage().index() != b.storage().index()) return false;
  return std::visit(
      [&](const auto& left) {
        using T = std::decay_t<decltype(left)>;
        const T& right = *b.get_if<T>();
        if constexpr (std::is_same_v<T, Value::None> || std::is_same_v<T, Value::Undefined>) {
          return true;
        } else if constexpr (std::is_same_v<T, Text>) {
          return *left ==
                 *right;  // Python's answer depends on its interning; equal text is the best guess
        } else {
          return left == right;
        }
      },
      a.storage());
}

bool less(Budget& budget, const Value& a, const Value& b) {
  budget.step();
  if (a.is_number() && b.is_number()) {
    int64_t room_a = 0, room_b = 0;
    const int64_t* left = a.integer(room_a);
    const int64_t* right = b.integer(room_b);
    if (left != nullptr && right != nullptr) return *left < *right;
    return a.number() < b.number();
  }
  if (a.string() != nullptr && b.string() != nullptr) {
    budget.step(static_cast<int64_t>(a.string()->size()) / 64);
    return *a.string() < *b.string();  // the order of UTF-8 is that of the characters
  }
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  if (left == nullptr || right == nullptr || left->kind != right->kind || !left->is_indexed())
    fault("'<' is not supported between {} and {}", a.type(), b.type());
  for (size_t i = 0; i < std::min(left->items.size(), right->items.size()); ++i) {
    if (!equal(budget, left->items[i], right->items[i]))
      return less(budget, left->items[i], right->items[i]);
  }
  return left->items.size() < right->items.size();
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char room[64];
  const auto end = std::to_chars(room, room + sizeof room, value, std::chars_format::scientific);
  const std::string shortest(room, end.ptr);
  const int exponent = std::stoi(shortest.substr(shortest.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return shortest;
  const auto fixed = std::to_chars(room, room + sizeof room, value, std::chars_format::fixed);
  std::string text(room, fixed.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

namespace {

std::string quoted(std::string_view text) {
  const char quote =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"'
                                                                                            : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    const char32_t c = character_at(text, i);
    if (c == static_cast<char32_t>(quote) || c == U'\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == U'\n') {
      out += "\\n";
    } else if (c == U'\r') {
      out += "\\r";
    } else if (c == U'\t') {
      out += "\\t";
    } else if (!is_printable(c)) {
      const auto code = static_cast<uint32_t>(c);
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out + quote;
}

void print(Budget& budget, const Value& value, std::string& out);

void print_items(Budget& budget, const Sequence& list, std::string& out) {
  if (!list.is_printed()) fault("printing it as it is is not supported; put |list behind it");
  const bool tuple = list.kind == Sequence::Kind::kTuple;
  out += tuple ? '(' : '[';
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    print(budget, list.items[i], out);
  }
  if (tuple && list.items.size() == 1) out += ',';
  out += tuple ? ')' : ']';
}

void print_dict(Budget& budget, const Dict& dict, std::string& out) {
  out += '{';
  for (size_t i = 0; i < dict.items.size(); ++i) {
    if (i > 0) out += ", ";
    print(budget, dict.items[i].first, out);
    out += ": ";
    print(budget, dict.items[i].second, out);
  }
  out += '}';
}

// What is printed is charged while it grows: one string may stand in a list many times.
void print(Budget& budget, const Value& value, std::string& out) {
  const size_t before = out.size();
  budget.step();
  if (const std::string* text = value.string()) {
    budget.allocate(text->size());
    out += quoted(*text);
  } else if (const Sequence* list = value.sequence()) {
    print_items(budget, *list, out);
  } else if (const Dict* dict = value.dict()) {
    print_dict(budget, *dict, out);
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else {
    out += to_text(budget, value);
  }
  budget.allocate(out.size() - before);
}

}  // namespace

std::string repr(Budget& budget, const Value& value) {
  std::string out;
  print(budget, value, out);
  return out;
}

std::string to_text(Budget& budget, const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (const auto* flag = value.get_if<bool>()) return *flag ? "True" : "False";
  if (const auto* number = value.get_if<int64_t>()) return std::to_string(*number);
  if (const auto* number = value.get_if<double>()) return float_text(*number);
  const auto* safe = value.get_if<Value::Markup>();
  if (const std::string* text = safe != nullptr ? safe->text.get() : value.string()) {
    budget.allocate(text->size());
    return *text;
  }
  if (value.sequence() != nullptr || value.dict() != nullptr) return repr(budget, value);
  fault("printing a {} is not supported", value.type());
}

}  // namespace trit::jinja
