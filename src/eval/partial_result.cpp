#include "eval/partial_result.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

void require_same(const Json& found, const OrderedJson& header, const Path& path) {
  for (const auto& [key, value] : header.items()) {
    const std::string ours = value.dump();
    const std::string theirs =
        found.is_object() && found.contains(key) ? found[key].dump() : "missing";
    if (theirs != ours) {
      bad_input("{}: it is of another run: \"{}\" is {}, here {}; name another file or remove it",
                path.string(), key, printable(theirs), printable(ours));
    }
  }
}

}  // namespace

PartialResult::PartialResult(Path path, const OrderedJson& header, size_t windows)
    : path_(std::move(path)), results_(windows) {
  if (path_.empty()) return;
  std::error_code error;
  const bool there = std::filesystem::file_size(path_, error) > 0 && !error;
  if (there) {
    const std::string text = read_text(path_);
    const size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    if (whole == 0) bad_input("{}: it has no whole line; it is no partial result", path_.string());
    read(text.substr(0, whole), header);
    std::filesystem::resize_file(path_, whole, error);
    if (error)
      failure("{}: cannot be cut to its last whole line: {}", path_.string(), error.message());
  }
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_) failure("{}: cannot be written: {}", path_.string(), std::strerror(errno));
  if (!there) append(header);
}

void PartialResult::read(const std::string& text, const OrderedJson& header) {
  int64_t number = 0;
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    const std::string where = fmt::format("{}:{}", path_.string(), ++number);
    const Json line = parse_json(std::string_view(text).substr(begin, end - begin), where);
    if (number == 1) {
      require_same(line, header, path_);
      continue;
    }
    const auto window =
        static_cast<size_t>(json_int(line, "window", where, 0, std::ssize(results_) - 1));
    found_ += results_[window] ? 0 : 1;
    results_[window] = {json_number(line, "nats", where), json_number(line, "squares", where)};
  }
}

void PartialResult::add(size_t window, const WindowResult& result) {
  results_[window] = result;
  if (file_) append({{"window", window}, {"nats", result.nats}, {"squares", result.squares}});
}

void PartialResult::append(const OrderedJson& line) {
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() ||
      std::fflush(file_.get()) != 0)
    failure("{}: cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace trit
