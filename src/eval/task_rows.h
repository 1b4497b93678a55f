#pragma once
// The rows of a task's data files.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace trit {

// The first of `names`, as it is or with .zst or .gz behind it, that is a file below `data`.
std::optional<Path> find_rows(const Path& data, std::span<const std::string_view> names);

struct TaskRows {
  std::vector<Json> rows;
  std::vector<std::string> where;  // "FILE:LINE" or "FILE[INDEX]" of each, for errors
};
// The first `limit` rows (0: all) of a file of JSON objects, one a line; of a .json file, the list's elements. Where a file
// NAME-labels.lst lies beside NAME.jsonl, its lines are the rows' "label". Throws Error naming file and line.
TaskRows read_rows(const Path& file, int64_t limit);

}  // namespace trit
