#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "hub/repo.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRefBytes = 256;
constexpr mode_t kLockMode = 0664;  // others who share the cache may wait for it
// bford.info/cachedir: backups leave such a folder out.
constexpr std::string_view kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is the cache of the Hugging Face hub; see https://bford.info/cachedir/\n";

void make_folder(const Path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) failure("{}: cannot make this folder: {}", folder.string(), error.message());
}

int open_lock(const Path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kLockMode);
  if (fd < 0) failure("{}: cannot open: {}", path.string(), std::strerror(errno));
  return fd;
}

// A lock file that another process removed while we waited keeps nobody out.
bool still_there(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

RepoCache::RepoCache(Path root, std::string_view id) : root_(std::move(root)) {
  std::string name = fmt::format("models--{}", id);
  const size_t slash = name.find('/');
  TRIT_CHECK(slash != name.npos);
  name.replace(slash, 1, "--");
  folder_ = root_ / name;
  locks_ = root_ / ".locks" / name;
}

Path RepoCache::blob(std::string_view etag) const { return folder_ / "blobs" / etag; }

Path RepoCache::incomplete(std::string_view etag) const {
  return folder_ / "blobs" / fmt::format("{}.incomplete", etag);
}

Path RepoCache::lock(std::string_view etag) const { return locks_ / fmt::format("{}.lock", etag); }

Path RepoCache::snapshot(std::string_view commit) const { return folder_ / "snapshots" / commit; }

std::optional<std::string> RepoCache::commit_of(std::string_view revision) const {
  if (is_commit(revision)) return std::string(revision);
  const Path ref = folder_ / "refs" / revision;
  std::error_code ignored;
  if (!fs::is_regular_file(ref, ignored)) return std::nullopt;
  const std::string text = read_text(ref, kMaxRefBytes);
  const std::string commit = text.substr(0, text.find_last_not_of(" \r\n") + 1);
  if (!is_commit(commit))
    bad_input("{}: '{}' is no commit; it must be 40 hexadecimal digits", ref.string(),
              printable(commit));
  return commit;
}

void RepoCache::make_folders() const {
  make_folder(folder_ / "blobs");
  make_folder(locks_);
  const Path tag = root_ / "CACHEDIR.TAG";
  std::error_code ignored;
  if (!fs::exists(tag, ignored)) write_text(tag, kCacheTag);
}

void RepoCache::write_ref(std::string_view revision, std::string_view commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  const Path ref = folder_ / "refs" / revision;
  make_folder(ref.parent_path());
  write_text(ref, commit);
}

void RepoCache::link(std::string_view commit, std::string_view file, std::string_view etag) const {
  const Path pointer = snapshot(commit) / file;
  make_folder(pointer.parent_path());
  const Path target = blob(etag).lexically_relative(pointer.parent_path());
  std::error_code error;
  if (fs::is_symlink(pointer, error) && fs::read_symlink(pointer, error) == target) return;
  // Beside it first, so that the name always stands for a whole file.
  const Path beside = pointer.parent_path() / fmt::format(".{}.tmp-{}", etag, getpid());
  fs::remove(beside, error);
  fs::create_symlink(target, beside, error);
  if (!error) fs::rename(beside, pointer, error);
  if (error)
    failure("{}: cannot link to {}: {}", pointer.string(), target.string(), error.message());
}

BlobLock::BlobLock(const Path& path, const std::function<void()>& waiting,
                   const std::function<bool()>& stop) {
  bool told = false;
  fd_ = open_lock(path);
  while (flock(fd_, told ? LOCK_EX : LOCK_EX | LOCK_NB) != 0 || !still_there(fd_)) {
    const int error = errno;
    if (!still_there(fd_)) {
      close(fd_);
      fd_ = open_lock(path);
    } else if (error == EWOULDBLOCK) {
      told = true;
      waiting();
    } else if (error != EINTR || stop()) {
      close(fd_);
      fd_ = -1;
      if (error == EINTR) return;
      failure("{}: cannot lock: {}", path.string(), std::strerror(error));
    }
  }
}

// The file stays: removing it would let two waiters hold two locks.
BlobLock::~BlobLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace trit
