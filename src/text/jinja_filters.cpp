// Filters of strings and numbers.

#include <charconv>
#include <cmath>
#include <map>

#include "text/jinja_builtins.h"
#include "text/jinja_json.h"
#include "text/jinja_unicode.h"

namespace trit::jinja {
namespace {

Value upper(Budget& b, const Value& v, const Args&) {
  return make_string(b, to_upper(to_text(b, v)));
}
Value lower(Budget& b, const Value& v, const Args&) {
  return make_string(b, to_lower(to_text(b, v)));
}
Value capitalize(Budget& b, const Value& v, const Args&) {
  return make_string(b, to_capital(to_text(b, v)));
}
Value string(Budget& b, const Value& v, const Args&) {
  return v.get_if<Value::Markup>() != nullptr ? v : Value(to_text(b, v));
}
Value safe(Budget& b, const Value& v, const Args&) {
  return Value::Markup{std::make_shared<const std::string>(to_text(b, v))};
}

// Words begin after white space and opening brackets, not after every character that is no letter.
Value title(Budget& budget, const Value& value, const Args&) {
  const std::string text = to_text(budget, value);
  const auto separates = [](char32_t c) {
    return is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                           std::string_view::npos);
  };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    const bool separator = separates(character_at(text, i));
    while (end < text.size() && separates(character_at(text, end)) == separator)
      end += character_length(text, end);
    const std::string word = text.substr(i, end - i);
    out += separator ? word : to_capital(word);
    i = end;
  }
  return make_string(budget, std::move(out));
}

Value trim(Budget& budget, const Value& value, const Args& args) {
  args.only(1, {"chars"});
  const Value* chars = args.find(0, "chars");
  std::optional<std::string_view> set;
  if (chars != nullptr && !chars->is_none()) set = need_string(*chars);
  const std::string text = to_text(budget, value);
  return make_string(budget, std::string(strip(text, set, true, true)));
}

Value replace(Budget& budget, const Value& value, const Args& args) {
  args.only(3, {"old", "new", "count"});
  const std::string text = to_text(budget, value);
  const std::string old = to_text(budget, args.need(0, "old"));
  const std::string with = to_text(budget, args.need(1, "new"));
  const Value* most = args.find(2, "count");
  int64_t left = most == nullptr || most->is_none() ? -1 : args.integer_or(2, "count", -1);
  std::string out;
  size_t place = 0;
  while (left != 0) {
    size_t next = 0;
    if (old.empty()) {  // before each character and at the end
      out += with;
      budget.allocate(with.size() + 1);
      --left;
      if (place >= text.size()) return make_string(budget, std::move(out));
      next = place + character_length(text, place);
      out += text.substr(place, next - place);
    } else {
      next = text.find(old, place);
      if (next == std::string::npos) break;
      budget.allocate(next - place + with.size());
      out += text.substr(place, next - place) + with;
      next += old.size();
      --left;
    }
    place = next;
  }
  return make_string(budget, out + text.substr(place));
}

// str.splitlines of text + "\n", each line but the first behind the indentation.
Value indent(Budget& budget, const Value& value, const Args& args) {
  args.only(3, {"width", "first", "blank"});
  const Value* width = args.find(0, "width");
  std::string by = "    ";
  if (width != nullptr && width->string() != nullptr) {
    by = *width->string();
  } else {
    const int64_t spaces = std::max<int64_t>(args.integer_or(0, "width", 4), 0);
    budget.allocate(static_cast<size_t>(spaces));
    by.assign(static_cast<size_t>(spaces), ' ');
  }
  const bool first = args.truthy_or(1, "first", false), blank = args.truthy_or(2, "blank", false);
  const Value text = need_string(value) + "\n";
  const Value split = find_method(text, "splitlines")(budget, text, {});
  std::string out = first ? by : "";
  const std::vector<Value>& lines = split.sequence()->items;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = *lines[i].string();
    budget.allocate(line.size() + by.size() + 1);
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !line.empty())) out += by;
    out += line;
  }
  return make_string(budget, std::move(out));
}

Value wordcount(Budget& budget, const Value& value, const Args&) {
  const std::string text = to_text(budget, value);
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size(); i += character_length(text, i)) {
    const char32_t c = character_at(text, i);
    const bool word = is_letter(c) || is_digit(c) || c == U'_';
    words += word && !inside;
    inside = word;
  }
  return words;
}

Value escape(Budget& budget, const Value& value, const Args&) {
  if (value.get_if<Value::Markup>() != nullptr) return value;
  std::string out;
  for (const char c : to_text(budget, value)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  budget.allocate(out.size());
  return Value::Markup{std::make_shared<const std::string>(std::move(out))};
}

Value tojson(Budget& budget, const Value& value, const Args& args) {
  args.only(4, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = args.truthy_or(0, "ensure_ascii", false);
  style.sort_keys = args.truthy_or(3, "sort_keys", false);
  if (const Value* indent = args.find(1, "indent"); indent != nullptr && !indent->is_none()) {
    if (indent->string() != nullptr) {
      style.indent = *indent->string();
    } else {
      const int64_t spaces = std::max<int64_t>(args.integer_or(1, "indent", 0), 0);
      budget.allocate(static_cast<size_t>(spaces));
      style.indent = std::string(static_cast<size_t>(spaces), ' ');
    }
  }
  style.between = style.indent ? "," : ", ";
  style.after_key = ": ";
  if (const Value* both = args.find(2, "separators"); both != nullptr && !both->is_none()) {
    const std::vector<Value> parts = elements(budget, *both);
    if (parts.size() != 2) fault("tojson: separators must be two strings");
    style.between = need_string(parts[0]);
    style.after_key = need_string(parts[1]);
  }
  return make_string(budget, to_json(budget, value, style));
}

std::optional<double> read_float(std::string_view text) {
  text = strip(text, std::nullopt, true, true);
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('+') || text.find('_') != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> whole(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(value);
}

Value to_int(Budget&, const Value& value, const Args& args) {
  args.only(2, {"default", "base"});
  const Value* given = args.find(0, "default");
  const Value fallback = given == nullptr ? Value(0) : *given;
  const int64_t base = args.integer_or(1, "base", 10);
  if (value.is_undefined()) undefined_fault(value);
  if (base != 10) fault("int with a base is not supported");
  int64_t room = 0;
  if (const int64_t* number = value.integer(room)) return *number;
  std::optional<double> real;
  if (const auto* number = value.get_if<double>()) real = *number;
  if (const std::string* string = value.string()) {
    std::string_view text = strip(*string, std::nullopt, true, true);
    if (text.starts_with('+')) text.remove_prefix(1);
    int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool all = read.ptr == text.data() + text.size() && !text.empty();
    if (all && read.ec == std::errc()) return number;
    if (all && read.ec == std::errc::result_out_of_range)
      fault("integers beyond 64 bits are not supported");
    real = read_float(*string);
  }
  if (!real) return fallback;
  const std::optional<int64_t> number = whole(*real);
  if (!number && std::isfinite(*real)) fault("integers beyond 64 bits are not supported");
  return number ? Value(*number) : fallback;
}

Value to_float(Budget&, const Value& value, const Args& args) {
  args.only(1, {"default"});
  const Value* given = args.find(0, "default");
  if (value.is_undefined()) undefined_fault(value);
  if (value.is_number()) return value.number();
  if (value.string() != nullptr)
    if (const std::optional<double> number = read_float(*value.string())) return *number;
  return given == nullptr ? Value(0.0) : *given;
}

Value absolute(Budget&, const Value& value, const Args&) {
  if (const auto* real = value.get_if<double>()) return std::abs(*real);
  int64_t room = 0;
  const int64_t* number = value.integer(room);
  if (value.is_undefined()) undefined_fault(value);
  if (number == nullptr) fault("abs wants a number, found a {}", value.type());
  return *number < 0 ? negative(*number) : Value(*number);
}

Value rounded(Budget&, const Value& value, const Args& args) {
  args.only(2, {"precision", "method"});
  const int64_t precision = args.integer_or(0, "precision", 0);
  const Value* given = args.find(1, "method");
  const std::string method = given == nullptr ? "common" : need_string(*given);
  if (method != "common" && method != "ceil" && method != "floor")
    fault("round: method '{}' must be common, ceil or floor", method);
  if (value.is_undefined()) undefined_fault(value);
  if (!value.is_number()) fault("round wants a number, found a {}", value.type());
  if (precision < 0 || precision > 15) fault("round: precision {} is not supported", precision);
  const double number = value.number();
  if (method == "common") {
    int64_t room = 0;
    if (const int64_t* integer = value.integer(room)) return *integer;
    if (!std::isfinite(number)) return number;
    // Correctly rounded decimal digits, ties to even, as Python does.
    return std::stod(fmt::format("{:.{}f}", number, precision));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = number * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value fallback(Budget&, const Value& value, const Args& args) {
  args.only(2, {"default_value", "boolean"});
  const Value* given = args.find(0, "default_value");
  const bool use = value.is_undefined() || (args.truthy_or(1, "boolean", false) && !value.truthy());
  return !use ? value : given == nullptr ? Value("") : *given;
}

}  // namespace

Function find_text_filter(std::string_view name) {
  static const std::map<std::string_view, Function> table = {
      {"upper", upper},     {"lower", lower},   {"capitalize", capitalize},
      {"title", title},     {"trim", trim},     {"string", string},
      {"replace", replace}, {"indent", indent}, {"wordcount", wordcount},
      {"tojson", tojson},   {"int", to_int},    {"float", to_float},
      {"abs", absolute},    {"round", rounded}, {"default", fallback},
      {"d", fallback},      {"safe", safe},     {"escape", escape},
      {"e", escape}};
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

bool takes_markup(std::string_view filter) {
  return filter == "safe" || filter == "string" || filter == "escape" || filter == "e" ||
         filter == "default" || filter == "d" || filter == "tojson";
}

bool is_unsupported_name(std::string_view name) {
  return name == "cycler" || name == "joiner" || name == "lipsum" || name == "self" ||
         name == "super";
}

Function find_filter(std::string_view name) {
  const Function found = find_text_filter(name);
  return found != nullptr ? found : find_sequence_filter(name);
}

}  // namespace trit::jinja
