#include "text/jinja_json.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_unicode.h"

namespace trit::jinja {

namespace {

Value convert(Budget& budget, const OrderedJson& json, int depth) {
  if (depth > kMaxDepth) fault("JSON is nested more than {} deep", kMaxDepth);
  switch (json.type()) {
    case OrderedJson::value_t::null:
      return Value::None{};
    case OrderedJson::value_t::boolean:
      return json.get<bool>();
    case OrderedJson::value_t::number_integer:
      return json.get<int64_t>();
    case OrderedJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) fault("{} is too large a number", json.dump());
      return json.get<int64_t>();
    case OrderedJson::value_t::number_float:
      return json.get<double>();
    case OrderedJson::value_t::string:
      return make_string(budget, json.get<std::string>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      for (const OrderedJson& item : json) items.push_back(convert(budget, item, depth + 1));
      return make_list(budget, std::move(items));
    }
    case OrderedJson::value_t::object: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [key, item] : json.items())
        items.emplace_back(Value(key), convert(budget, item, depth + 1));
      return make_dict(budget, std::move(items));
    }
    default:
      fault("a JSON value of type {} has no meaning in a template", json.type_name());
  }
}

}  // namespace

Value from_json(Budget& budget, const OrderedJson& json) { return convert(budget, json, 0); }

namespace {

class Writer {
 public:
  Writer(Budget& budget, const JsonStyle& style) : budget_(budget), style_(style) {}
  void write(const Value& value, int level);
  std::string text() { return std::move(out_); }

 private:
  void string(std::string_view text);
  void escape(char32_t c);
  void number(double value);
  void line(int level);
  std::string key(const Value& value) const;
  void list(const Sequence& list, int level);
  void dict(const Dict& dict, int level);

  Budget& budget_;
  const JsonStyle& style_;
  std::string out_;
};

void Writer::escape(char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  if (code < 0x10000) {
    out_ += fmt::format("\\u{:04x}", code);
  } else {
    out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                        0xDC00 + ((code - 0x10000) & 0x3FF));
  }
}

void Writer::string(std::string_view text) {
  budget_.allocate(2, text.size());
  out_ += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    const char32_t c = character_at(text, i);
    static constexpr std::string_view kShort = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    const size_t place = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
    if (place != std::string_view::npos) {
      out_ += '\\';
      out_ += kLetters[place];
    } else if (c < 0x20 || (style_.ascii && c >= 0x7F && c != 0x7F)) {
      escape(c);
    } else {
      out_ += text.substr(i, length);
    }
    i += length;
  }
  out_ += '"';
}

void Writer::number(double value) {
  if (std::isfinite(value)) {
    out_ += float_text(value);
  } else {
    out_ += std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
  }
}

void Writer::line(int level) {
  if (!style_.indent) return;
  budget_.allocate(style_.indent->size() + 1, static_cast<size_t>(level) + 1);
  out_ += '\n';
  for (int i = 0; i < level; ++i) out_ += *style_.indent;
}

std::string Writer::key(const Value& value) const {
  if (const std::string* text = value.string()) return *text;
  if (value.is_none()) return "null";
  if (const auto* flag = value.get_if<bool>()) return *flag ? "true" : "false";
  return to_text(budget_, value);
}

void Writer::list(const Sequence& list, int level) {
  if (!list.is_printed()) fault("tojson: it is not JSON; put |list before it");
  out_ += '[';
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out_ += style_.between;
    line(level + 1);
    write(list.items[i], level + 1);
  }
  if (!list.items.empty()) line(level);
  out_ += ']';
}

void Writer::dict(const Dict& dict, int level) {
  std::vector<const std::pair<Value, Value>*> items;
  for (const auto& item : dict.items) items.push_back(&item);
  if (style_.sort_keys) {
    std::stable_sort(items.begin(), items.end(), [&](const auto* a, const auto* b) {
      return less(budget_, a->first, b->first);
    });
  }
  out_ += '{';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_ += style_.between;
    line(level + 1);
    string(key(items[i]->first));
    out_ += style_.after_key;
    write(items[i]->second, level + 1);
  }
  if (!items.empty()) line(level);
  out_ += '}';
}

void Writer::write(const Value& value, int level) {
  budget_.step();
  if (value.is_none()) {
    out_ += "null";
  } else if (const auto* flag = value.get_if<bool>()) {
    out_ += *flag ? "true" : "false";
  } else if (const auto* integer = value.get_if<int64_t>()) {
    out_ += std::to_string(*integer);
  } else if (const auto* real = value.get_if<double>()) {
    number(*real);
  } else if (const std::string* text = value.string()) {
    string(*text);
  } else if (const auto* safe = value.get_if<Value::Markup>()) {
    string(*safe->text);
  } else if (const Sequence* sequence = value.sequence()) {
    list(*sequence, level);
  } else if (const Dict* object = value.dict()) {
    dict(*object, level);
  } else {
    fault("tojson: a value of type {} is not JSON", value.type());
  }
}

}  // namespace

std::string to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  Writer writer(budget, style);
  writer.write(value, 0);
  return writer.text();
}

}  // namespace trit::jinja
