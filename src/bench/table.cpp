#include "bench/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace trit::bench {
namespace {

std::string number(const OrderedJson& value, int digits) {
  return value.is_number_integer() ? value.dump()
                                   : fmt::format("{:.{}f}", value.get<double>(), digits);
}

// Characters, not bytes.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, size_t to, bool right) {
  const std::string space(to - std::min(to, width(text)), ' ');
  return right ? space + text : text + space;
}

std::string csv_cell(const OrderedJson& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.is_structured() ? csv_cell(value.dump()) : value.dump();
  std::string text = "\"";
  for (const char c : value.get<std::string>()) {
    text += c;
    if (c == '"') text += c;
  }
  return text + '"';
}

}  // namespace

std::string cell_text(const OrderedJson& row, const Column& column) {
  const auto at = row.find(column.key);
  if (at == row.end() || at->is_null()) return "-";
  if (at->is_string()) return at->get<std::string>();
  if (!at->is_number()) return at->dump();
  std::string text = number(*at, column.digits);
  if (column.spread != nullptr && row.contains(column.spread))
    text += fmt::format(" ± {:.{}f}", row[column.spread].get<double>(), column.digits);
  return text;
}

std::vector<Column> filled_columns(std::span<const Column> columns,
                                   std::span<const OrderedJson> rows) {
  std::vector<Column> filled;
  for (const Column& column : columns) {
    const auto has = [&](const OrderedJson& row) {
      return row.contains(column.key) && !row[column.key].is_null();
    };
    if (std::ranges::any_of(rows, has)) filled.push_back(column);
  }
  return filled;
}

Format format_from(std::string_view name, std::string_view option) {
  if (name == "md") return Format::kMarkdown;
  if (name == "json") return Format::kJson;
  if (name == "jsonl") return Format::kJsonl;
  if (name == "csv") return Format::kCsv;
  bad_input("{}: '{}' is no format; it must be md, json, jsonl or csv", option, printable(name));
}

std::string markdown(std::span<const Column> columns, std::span<const OrderedJson> rows) {
  std::string head = "|", rule = "|";
  std::vector<std::string> lines(rows.size(), "|");
  for (const Column& column : columns) {
    size_t widest = width(column.title);
    bool right = false;
    for (const OrderedJson& row : rows) {
      widest = std::max(widest, width(cell_text(row, column)));
      right |= row.contains(column.key) && row[column.key].is_number();
    }
    head += fmt::format(" {} |", padded(column.title, widest, right));
    rule += fmt::format(" {}{} |", std::string(widest - 1, '-'), right ? ":" : "-");
    for (size_t i = 0; i < rows.size(); ++i)
      lines[i] += fmt::format(" {} |", padded(cell_text(rows[i], column), widest, right));
  }
  std::string text = fmt::format("{}\n{}\n", head, rule);
  for (const std::string& line : lines) text += fmt::format("{}\n", line);
  return text;
}

std::string csv(std::span<const OrderedJson> rows) {
  std::string text;
  if (rows.empty()) return text;
  for (const auto& [key, value] : rows.front().items())
    text += fmt::format("{}{}", text.empty() ? "" : ",", key);
  text += '\n';
  for (const OrderedJson& row : rows) {
    bool first = true;
    for (const auto& [key, value] : rows.front().items()) {
      text += fmt::format("{}{}", first ? "" : ",", row.contains(key) ? csv_cell(row[key]) : "");
      first = false;
    }
    text += '\n';
  }
  return text;
}

std::string jsonl(std::span<const OrderedJson> rows) {
  std::string text;
  for (const OrderedJson& row : rows) text += fmt::format("{}\n", row.dump());
  return text;
}

}  // namespace trit::bench
