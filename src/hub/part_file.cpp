#include "hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace trit {

// Links are not followed: the name is ours, and what it leads to is not.
PartFile::PartFile(const Path& path)
    : path_(path),
      fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
               0666)) {
  if (fd_ < 0) cannot("open");
  struct stat status {};
  if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd_);
    failure("{}: it is no regular file; remove it", path.string());
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

PartFile::~PartFile() { close(fd_); }

void PartFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) cannot("write");
    size_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void PartFile::restart() {
  if (ftruncate(fd_, 0) != 0) cannot("empty");
  size_ = 0;
}

void PartFile::sync() {
  if (fsync(fd_) != 0) cannot("sync");
}

void PartFile::cannot(const char* verb) const {
  failure("{}: cannot {}: {}", path_.string(), verb, std::strerror(errno));
}

}  // namespace trit
