#include "data/corpus.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "data/byte_reader.h"
#include "text/utf8.h"

namespace trit {
namespace {

constexpr std::string_view kBoundary = "<|endoftext|>";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kReadBytes = size_t{1} << 20;

// The lines of a file, without their ends ("\n"; "\r" stays), each checked to be UTF-8.
class LineReader {
 public:
  explicit LineReader(const Path& path) : name_(path.string()), bytes_(open_bytes(path)) {}
  bool next(std::string_view& line);
  std::string where() const { return fmt::format("{}:{}", name_, number_); }

 private:
  bool fill();
  std::string name_;
  std::unique_ptr<ByteReader> bytes_;
  std::string buffer_;
  size_t begin_ = 0;  // of the line after the last one given
  int64_t number_ = 0;
  bool ended_ = false;
};

// Reads on behind the unfinished line; false at the end of the file.
bool LineReader::fill() {
  if (ended_) return false;
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t held = buffer_.size();
  buffer_.resize(held + kReadBytes);
  const size_t count = bytes_->read(buffer_.data() + held, kReadBytes);
  buffer_.resize(held + count);
  ended_ = count == 0;
  return !ended_;
}

bool LineReader::next(std::string_view& line) {
  size_t searched = begin_, end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    searched = buffer_.size() - begin_;  // fill() moves the line to the front
    if (searched > kMaxLineBytes) break;
    if (!fill()) break;
  }
  if (end == std::string::npos && begin_ == buffer_.size()) return false;
  ++number_;
  const size_t length = std::min(end, buffer_.size()) - begin_;
  if (length > kMaxLineBytes) bad_input("{}: line is longer than {} bytes", where(), kMaxLineBytes);
  line = std::string_view(buffer_).substr(begin_, length);
  begin_ += std::min(length + 1, buffer_.size() - begin_);
  check_utf8(line, where());
  if (number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  return true;
}

std::string_view without_line_breaks(std::string_view text) {
  const size_t begin = text.find_first_not_of("\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of("\r\n") - begin + 1);
}

void read_text_lines(LineReader& lines, const std::function<void(std::string_view)>& document) {
  std::string text;
  const auto finish = [&] {
    const std::string_view body = without_line_breaks(text);
    if (!body.empty()) document(body);
    text.clear();
  };
  std::string_view line;
  while (lines.next(line)) {
    if (line == kBoundary ||
        (line.ends_with('\r') && line.substr(0, line.size() - 1) == kBoundary)) {
      finish();
      continue;
    }
    if (text.size() + line.size() >= kMaxDocumentBytes) {
      bad_input("{}: document is longer than {} bytes; separate documents by a line '{}'",
                lines.where(), kMaxDocumentBytes, kBoundary);
    }
    text.append(line) += '\n';
  }
  finish();
}

bool selected(const Json& row, const CorpusOptions& options, const std::string& where) {
  for (const auto& [field, values] : options.where) {
    const std::string value = json_string(row, field.c_str(), where);
    if (std::find(values.begin(), values.end(), value) == values.end()) return false;
  }
  return true;
}

void read_json_lines(LineReader& lines, const CorpusOptions& options,
                     const std::function<void(std::string_view)>& document) {
  std::string_view line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = lines.where();
    const Json row = parse_json(line, where);
    if (!row.is_object()) bad_input("{}: not a JSON object", where);
    if (!selected(row, options, where)) continue;
    const std::string text = json_string(row, options.field.c_str(), where);
    if (!text.empty()) document(text);
  }
}

}  // namespace

void for_each_document(const Path& file, const CorpusOptions& options,
                       const std::function<void(std::string_view)>& document) {
  Path name = file;
  if (name.extension() == ".zst" || name.extension() == ".gz") name.replace_extension();
  const std::string form = name.extension().string();
  if (form != ".txt" && form != ".jsonl") {
    bad_input("{}: a corpus is a .txt or .jsonl file, or one of these with .zst or .gz",
              file.string());
  }
  LineReader lines(file);
  if (form == ".txt") {
    read_text_lines(lines, document);
  } else {
    read_json_lines(lines, options, document);
  }
}

}  // namespace trit
