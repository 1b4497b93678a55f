#include "data/corpus.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
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

// The member that a path names; throws Error when it is missing or no string.
std::string member(const Json& row, const std::string& path, const std::string& where) {
  const size_t dot = path.find('.');
  if (row.contains(path) || dot == std::string::npos) return json_string(row, path.c_str(), where);
  const auto inner = row.find(path.substr(0, dot));
  if (inner == row.end() || !inner->is_object())
    bad_input("{}: it has neither a member \"{}\" nor an object \"{}\"", where, printable(path),
              printable(path.substr(0, dot)));
  return member(*inner, path.substr(dot + 1), where);
}

// How often a row comes in the mixture.
int64_t copies(const Json& row, const std::string& text, const CorpusOptions& options,
               const std::string& where) {
  if (options.mix.empty()) return 1;
  const auto weight = options.mix.find(member(row, options.mix_by, where));
  if (weight == options.mix.end()) return 1;
  uint64_t hash = 0x6d69780a;  // not that of the held-out split
  for (const char byte : text) hash = splitmix64(hash ^ static_cast<uint8_t>(byte));
  return static_cast<int64_t>(weight->second + static_cast<double>(hash >> 11) * 0x1.0p-53);
}

bool selected(const Json& row, const CorpusOptions& options, const std::string& where) {
  for (const auto& [field, values] : options.where) {
    const std::string value = member(row, field, where);
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
    const std::string text = member(row, options.field, where);
    if (text.empty()) continue;
    for (int64_t left = copies(row, text, options, where); left > 0; --left) document(text);
  }
}

// .txt or .jsonl, whatever it is compressed with; empty for other files.
std::string form_of(Path name) {
  if (name.extension() == ".zst" || name.extension() == ".gz") name.replace_extension();
  const std::string form = name.extension().string();
  return form == ".txt" || form == ".jsonl" ? form : "";
}

}  // namespace

std::vector<Path> corpus_files(const Path& directory) {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && !form_of(entry.path()).empty()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty())
    bad_input("{}: there is no .txt or .jsonl file in it, plain, .zst or .gz", directory.string());
  return files;
}

void for_each_document(const Path& file, const CorpusOptions& options,
                       const std::function<void(std::string_view)>& document) {
  const std::string form = form_of(file);
  if (form.empty()) {
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
