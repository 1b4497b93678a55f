#include "hub/repo.h"

#include <algorithm>

#include "base/error.h"

namespace trit {
namespace {

constexpr size_t kMaxName = 96, kMaxRevision = 255, kMaxFileName = 1024, kMaxPart = 255;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || !is_word(name.front()) || !is_word(name.back()))
    return false;
  return std::ranges::all_of(name, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

bool is_id(std::string_view id) {
  const size_t slash = id.find('/');
  return slash != id.npos && is_name(id.substr(0, slash)) && is_name(id.substr(slash + 1)) &&
         id.find("--") == id.npos && id.find("..") == id.npos && !id.ends_with(".git");
}

// Revisions become files below refs/.
bool is_revision(std::string_view revision) {
  return revision.size() <= kMaxRevision && is_safe_file_name(revision) &&
         std::ranges::all_of(revision,
                             [](char c) { return is_word(c) || c == '-' || c == '.' || c == '/'; });
}

struct Parts {
  std::string_view id, revision, file;
  bool has_revision = false, has_file = false;
};

Parts split(std::string_view text) {
  Parts parts;
  const size_t colon = text.find(':');
  parts.has_file = colon != text.npos;
  if (parts.has_file) parts.file = text.substr(colon + 1);
  text = text.substr(0, colon);
  const size_t at = text.find('@');
  parts.has_revision = at != text.npos;
  if (parts.has_revision) parts.revision = text.substr(at + 1);
  parts.id = text.substr(0, at);
  return parts;
}

// What is wrong with the parts; empty when nothing is.
std::string complaint(const Parts& parts) {
  if (!is_id(parts.id)) {
    return fmt::format("'{}' is no repository; it must be ORG/NAME[@REVISION][:FILE]",
                       printable(parts.id));
  }
  if (parts.has_revision && !is_revision(parts.revision)) {
    return fmt::format("revision '{}' is none; it must be a branch, a tag or a commit",
                       printable(parts.revision));
  }
  if (parts.has_file && !(is_safe_file_name(parts.file) && parts.file.ends_with(".gguf"))) {
    return fmt::format(
        "file '{}' is no GGUF file of a repository; it must be a name like model.gguf",
        printable(parts.file));
  }
  return {};
}

}  // namespace

std::string RepoName::text() const {
  return fmt::format("{}{}{}{}{}", id, revision == "main" ? "" : "@",
                     revision == "main" ? "" : revision, file.empty() ? "" : ":", file);
}

RepoName parse_repo(std::string_view text) {
  const Parts parts = split(text);
  const std::string wrong = complaint(parts);
  if (!wrong.empty()) bad_input("{}: {}", printable(text), wrong);
  RepoName repo;
  repo.id = parts.id;
  if (parts.has_revision) repo.revision = parts.revision;
  repo.file = parts.file;
  return repo;
}

bool is_repo_name(std::string_view text) { return complaint(split(text)).empty(); }

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxFileName) return false;
  const auto harmful = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\';
  };
  if (std::ranges::any_of(name, harmful)) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    begin = end + 1;
  }
  return true;
}

bool is_commit(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == 40 && std::ranges::all_of(text, is_digit);
}

}  // namespace trit
