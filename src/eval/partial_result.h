#pragma once
// Figures of windows, noted in a file as they come, so that a run that was killed goes on.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace trit {

struct WindowResult {
  double nats = 0, squares = 0;  // sums over the tokens of the losses and their squares
};

// A JSON object a line: first what is measured, then {"window", "nats", "squares"}. Numbers are written so that they read
// back as the same bits. A last line that was not written whole is cut off.
class PartialResult {
 public:
  // Without a path nothing is noted. Throws Error naming the first field in which a file that is there has something else
  // than `header` (of plain values), or the line that is none of these.
  PartialResult(Path path, const OrderedJson& header, size_t windows);

  const std::optional<WindowResult>& operator[](size_t window) const { return results_[window]; }
  int64_t found() const { return found_; }  // in the file
  // Throws Error (exit code 1) when the file cannot be written.
  void add(size_t window, const WindowResult& result);

 private:
  void read(const std::string& text, const OrderedJson& header);
  void append(const OrderedJson& line);
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  Path path_;
  std::vector<std::optional<WindowResult>> results_;
  int64_t found_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace trit
