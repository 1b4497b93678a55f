#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.h"

namespace trit {
namespace {

// A file descriptor that closes itself.
class OpenFile {
 public:
  // Nonblocking, so that opening a pipe that nobody writes cannot hang.
  explicit OpenFile(const Path& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) bad_input("{}: cannot open: {}", path.string(), std::strerror(errno));
    if (fstat(fd_, &status_) != 0) {
      const int error = errno;
      close(fd_);
      failure("{}: cannot read: {}", path.string(), std::strerror(error));
    }
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(fd_); }
  int fd() const { return fd_; }
  bool is_regular() const { return S_ISREG(status_.st_mode); }
  size_t size() const { return static_cast<size_t>(status_.st_size); }

 private:
  int fd_;
  struct stat status_ {};
};

void require_regular(const OpenFile& file, const Path& path) {
  if (!file.is_regular()) bad_input("{}: not a regular file", path.string());
}

// The whole pages inside `mapped`.
std::span<const std::byte> whole_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(mapped.data());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + mapped.size()) / page * page;
  if (first >= last) return {};
  return {mapped.data() + (first - begin), last - first};
}

// Advice only: when the kernel does not take it nothing changes.
void advise(std::span<const std::byte> pages, int advice) {
  if (!pages.empty()) madvise(const_cast<std::byte*>(pages.data()), pages.size(), advice);
}

}  // namespace

MappedFile::MappedFile(const Path& path) : path_(path) {
  const OpenFile file(path);
  require_regular(file, path);
  if (file.size() == 0) return;  // mmap refuses an empty mapping
  void* data = mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) failure("{}: cannot map: {}", path.string(), std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
  size_ = file.size();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void release_pages(std::span<const std::byte> mapped) {
  advise(whole_pages(mapped), MADV_DONTNEED);
}

void prefer_huge_pages(std::span<const std::byte> mapped) {
  advise(whole_pages(mapped), MADV_HUGEPAGE);
}

bool in_huge_pages(std::span<const std::byte> mapped) {
  const auto place = reinterpret_cast<uintptr_t>(mapped.data());
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  size_t resident = 0, huge = 0;  // KiB
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      if (here) break;
      here = begin <= place && place < end;
    } else if (here) {
      std::sscanf(line.c_str(), "Rss: %zu kB", &resident);
      std::sscanf(line.c_str(), "FilePmdMapped: %zu kB", &huge);
    }
  }
  return huge > 0 && huge * 4 >= resident * 3;
}

std::string read_text(const Path& path, size_t max_bytes) {
  const OpenFile file(path);
  require_regular(file, path);
  if (file.size() > max_bytes) {
    bad_input("{}: {} bytes long, expected at most {}", path.string(), file.size(), max_bytes);
  }
  std::string text(file.size(), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = read(file.fd(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failure("{}: cannot read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;  // the file was cut while we read
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

}  // namespace trit
