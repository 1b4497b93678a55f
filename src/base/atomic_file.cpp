// The writing half of base/file.h.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/file.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot(const char* verb, const Path& path, int error) {
  failure("{}: cannot {}: {}", path.string(), verb, std::strerror(error));
}

// Where the bytes shall stand in the end: through symbolic links, which a rename would replace.
Path resolve(const Path& path) {
  Path target = path.has_filename() ? path : path.parent_path();  // "name/" is "name"
  std::error_code error;
  if (fs::is_symlink(target, error)) target = fs::weakly_canonical(target, error);
  if (!target.has_filename() || target.filename() == "." || target.filename() == "..") {
    bad_input("{}: not a name that can be written", path.string());
  }
  return target;
}

Path folder_of(const Path& target) {
  return target.has_parent_path() ? target.parent_path() : Path(".");
}

// ".<name>" + `ending` beside `target`: hidden, and on the same file system.
Path beside(const Path& target, const std::string& ending) {
  return folder_of(target) / fmt::format(".{}{}", target.filename().string(), ending);
}

Path temporary_name(const Path& target) { return beside(target, fmt::format(".tmp-{}", getpid())); }

// Whether the process that wrote a name ending in `pid` can no longer need it. Our own number counts
// as dead: one process writes a path once at a time, and in a container numbers come back.
bool is_dead(std::string_view pid) {
  pid_t number = 0;
  const auto [end, error] = std::from_chars(pid.data(), pid.data() + pid.size(), number);
  if (error != std::errc{} || end != pid.data() + pid.size() || number <= 0) return false;
  return number == getpid() || (kill(number, 0) != 0 && errno == ESRCH);
}

// Removes what killed processes left of their attempts to write `target`.
void remove_leftovers(const Path& target) {
  const std::string prefix = beside(target, ".tmp-").filename().string();
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(target), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;  // what cannot be removed does no harm
    if (name.starts_with(prefix) && is_dead(std::string_view(name).substr(prefix.size()))) {
      fs::remove_all(entry->path(), ignored);
    }
  }
}

void sync_path(const Path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) cannot("open", path, errno);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  // EINVAL: the file system has nothing to sync for a directory.
  if (error != 0 && error != EINVAL) cannot("sync", path, error);
}

void sync_tree(const Path& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_symlink(ignored)) sync_path(entry->path());
  }
  if (error) cannot("sync", folder, error.value());
  sync_path(folder);
}

// The old directory's name while a file system without an exchange has it out of the way.
Path old_name(const Path& target) { return beside(target, ".old"); }

void rename_path(const Path& from, const Path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) cannot("replace", to, errno);
}

// Puts back an old directory that a process left aside when it died between the two renames.
void restore_old(const Path& target) {
  std::error_code ignored;
  if (fs::exists(target, ignored)) {
    fs::remove_all(old_name(target), ignored);
  } else if (fs::exists(old_name(target), ignored)) {
    rename_path(old_name(target), target);
  }
}

// For file systems that cannot exchange two names.
void replace_in_two_steps(const Path& fresh, const Path& target) {
  rename_path(target, old_name(target));
  if (rename(fresh.c_str(), target.c_str()) != 0) {
    const int error = errno;
    restore_old(target);
    cannot("replace", target, error);
  }
}

// `fresh` becomes `target` and is on the disk; only then is the older one removed.
void replace_directory(const Path& fresh, const Path& target) {
  if (access(target.c_str(), F_OK) != 0) {
    rename_path(fresh, target);
  } else if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) cannot("replace", target, errno);
    replace_in_two_steps(fresh, target);
  }
  sync_path(folder_of(target));
  std::error_code ignored;
  fs::remove_all(fresh, ignored);
  fs::remove_all(old_name(target), ignored);
}

// Writes begin at multiples of it, so that the system can keep the file in huge pages, from which it is mapped again.
constexpr size_t kBufferBytes = size_t{2} << 20;

}  // namespace

AtomicFile::AtomicFile(const Path& path)
    : path_(resolve(path)),
      temporary_(temporary_name(path_)),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferBytes)) {
  std::error_code error;
  const fs::file_type type = fs::status(path_, error).type();
  if (type != fs::file_type::not_found && type != fs::file_type::regular) {
    bad_input("{}: exists and is not a regular file", path.string());
  }
  remove_leftovers(path_);
  file_ = std::fopen(temporary_.c_str(), "wbxe");
  if (file_ == nullptr) bad_input("{}: cannot create: {}", path.string(), std::strerror(errno));
  std::setvbuf(file_, buffer_.get(), _IOFBF, kBufferBytes);
}

AtomicFile::~AtomicFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  TRIT_CHECK(file_ != nullptr);
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes) cannot("write", path_, errno);
  position_ += bytes;
}

void AtomicFile::pad_to(size_t alignment) {
  TRIT_CHECK(alignment > 0);
  const std::string zeros((alignment - position_ % alignment) % alignment, '\0');
  write(zeros);
}

void AtomicFile::commit() {
  TRIT_CHECK(file_ != nullptr);
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) cannot("write", path_, errno);
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0) cannot("write", path_, errno);
  rename_path(temporary_, path_);
  temporary_.clear();
  sync_path(folder_of(path_));
}

void write_text(const Path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

AtomicDirectory::AtomicDirectory(const Path& target)
    : target_(resolve(target)), temporary_(temporary_name(target_)) {
  std::error_code error;
  fs::create_directories(folder_of(target_), error);
  if (error) bad_input("{}: cannot create: {}", folder_of(target_).string(), error.message());
  restore_old(target_);
  const fs::file_type type = fs::status(target_, error).type();
  if (type != fs::file_type::not_found && type != fs::file_type::directory) {
    bad_input("{}: exists and is not a directory", target.string());
  }
  remove_leftovers(target_);
  fs::create_directory(temporary_, error);
  if (error) bad_input("{}: cannot create: {}", temporary_.string(), error.message());
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  TRIT_CHECK(!committed_);
  sync_tree(temporary_);
  replace_directory(temporary_, target_);
  committed_ = true;
}

}  // namespace trit
