#include "eval/task_rows.h"

#include "base/error.h"
#include "data/byte_reader.h"

namespace trit {
namespace {

// NAME of NAME.jsonl, .jsonl.zst, ...
std::string plain_name(const Path& file, std::string_view ending) {
  std::string name = file.string();
  for (const std::string_view packed : {".zst", ".gz"}) {
    if (name.ends_with(packed)) name.resize(name.size() - packed.size());
  }
  if (!name.ends_with(ending)) return {};
  return name.substr(0, name.size() - ending.size());
}

void require_object(const Json& row, std::string_view where) {
  if (!row.is_object()) bad_input("{}: expected a JSON object, found {}", where, row.type_name());
}

TaskRows list_of(const std::string& text, const Path& file, int64_t limit) {
  Json list = parse_json(text, file.string());
  if (!list.is_array())
    bad_input("{}: expected a list of objects, found {}", file.string(), list.type_name());
  TaskRows rows;
  for (Json& row : list) {
    if (limit > 0 && std::ssize(rows.rows) == limit) break;
    rows.where.push_back(fmt::format("{}[{}]", file.string(), rows.rows.size()));
    require_object(row, rows.where.back());
    rows.rows.push_back(std::move(row));
  }
  return rows;
}

TaskRows lines_of(std::string_view text, const Path& file, int64_t limit) {
  TaskRows rows;
  for (int64_t line = 1; !text.empty() && (limit == 0 || std::ssize(rows.rows) < limit); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    rows.where.push_back(fmt::format("{}:{}", file.string(), line));
    rows.rows.push_back(parse_json(one, rows.where.back()));
    require_object(rows.rows.back(), rows.where.back());
  }
  return rows;
}

void add_labels(TaskRows& rows, const Path& labels) {
  const std::string text = read_text(labels);
  std::string_view left = text;
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    const size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty())
      bad_input("{}:{}: there is no label for {}", labels.string(), i + 1, rows.where[i]);
    rows.rows[i]["label"] = std::string(line);
  }
}

}  // namespace

std::optional<Path> find_rows(const Path& data, std::span<const std::string_view> names) {
  std::error_code ignored;
  for (const std::string_view name : names) {
    for (const std::string_view packed : {"", ".zst", ".gz"}) {
      Path file = data / fmt::format("{}{}", name, packed);
      if (std::filesystem::is_regular_file(file, ignored)) return file;
    }
  }
  return std::nullopt;
}

TaskRows read_rows(const Path& file, int64_t limit) {
  const std::string text = read_all(file);
  if (!plain_name(file, ".json").empty()) return list_of(text, file, limit);
  TaskRows rows = lines_of(text, file, limit);
  const Path labels = plain_name(file, ".jsonl") + "-labels.lst";
  std::error_code ignored;
  if (std::filesystem::is_regular_file(labels, ignored)) add_labels(rows, labels);
  return rows;
}

}  // namespace trit
