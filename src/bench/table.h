#pragma once
// Rows of results as text: the output formats of llama-bench.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace trit::bench {

enum class Format : uint8_t { kMarkdown, kJson, kJsonl, kCsv };
// "md", "json", "jsonl", "csv"; throws Error naming `option` for any other.
Format format_from(std::string_view name, std::string_view option);

// A column of a Markdown table. Numbers stand to the right, with `digits` behind the point; with a `spread`
// key as "median ± spread". A value that is null or missing is shown as "-".
struct Column {
  const char* key;
  const char* title;
  int digits = 0;
  const char* spread = nullptr;
};

// A row for each object. Columns are as wide as their widest value, so the text reads well unrendered.
std::string markdown(std::span<const Column> columns, std::span<const OrderedJson> rows);
// A cell of it as text.
std::string cell_text(const OrderedJson& row, const Column& column);
// Those that some row fills.
std::vector<Column> filled_columns(std::span<const Column> columns,
                                   std::span<const OrderedJson> rows);
// A head of the first row's keys, then its values and the others'; strings in quotes.
std::string csv(std::span<const OrderedJson> rows);
// One object a line.
std::string jsonl(std::span<const OrderedJson> rows);

}  // namespace trit::bench
