#pragma once
// A file that is being downloaded, on disk.

#include <cstdint>
#include <string_view>

#include "base/file.h"

namespace trit {

// Open for appending; made when it is missing. It stays on disk when this ends, in whatever state.
class PartFile {
 public:
  // Throws Error when it cannot be opened or is no regular file.
  explicit PartFile(const Path& path);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();
  uint64_t size() const { return size_; }
  // Throws Error with exit code 1 when the disk is full.
  void append(std::string_view bytes);
  void restart();  // back to no bytes
  void sync();     // what was appended is on the disk when this returns

 private:
  [[noreturn]] void cannot(const char* verb) const;
  Path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace trit
