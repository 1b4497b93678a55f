#pragma once
// Files: mapped for reading; written whole or not at all.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trit {

using Path = std::filesystem::path;

// A file mapped read-only. Movable; unmaps at the end. Throws Error naming the file when it is
// missing, no regular file, or cannot be mapped. An empty file gives an empty span. The file must
// not be cut while it is mapped: reading past its new end raises SIGBUS.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const Path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const Path& path() const { return path_; }

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The pages that lie wholly in this part of a mapped file leave memory; they come back when they are read.
void release_pages(std::span<const std::byte> mapped);

// Asks the system to read this part of a mapped file in huge pages where it is not in memory yet, so that the part can be
// mapped in them.
void prefer_huge_pages(std::span<const std::byte> mapped);
// Whether the mapping that `mapped` begins in lies in huge pages, at least three quarters of what is in memory of it:
// reading it from end to end is then as fast as any memory. False where the system does not say.
bool in_huge_pages(std::span<const std::byte> mapped);

// The whole file as text. Throws Error naming the file when it is missing, no regular file, or larger
// than max_bytes.
std::string read_text(const Path& path, size_t max_bytes = size_t{1} << 30);

// Writes to ".<name>.tmp-<pid>" beside `path`; commit() syncs it to disk and renames it into place.
// Without commit() the temporary file is removed; those of killed processes go when the same path is
// written again. A failed write (full disk) throws Error with exit code 1 and leaves an existing
// `path` as it was. One process writes a path (of a file or a directory) once at a time.
class AtomicFile {
 public:
  explicit AtomicFile(const Path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t position() const { return position_; }  // bytes written so far
  // Zero bytes up to the next multiple of `alignment`.
  void pad_to(size_t alignment);
  void commit();

 private:
  Path path_, temporary_;
  std::unique_ptr<char[]> buffer_;  // of file_
  std::FILE* file_ = nullptr;
  uint64_t position_ = 0;
};

// AtomicFile in one call.
void write_text(const Path& path, std::string_view text);

// The same for a directory of files: fill `path()`, then commit() syncs all that is in it and puts
// the directory in its place. An older directory of that name is exchanged for it in one step, so
// that at every moment one of them stands there whole. On a file system that cannot exchange, the
// old one is called ".<name>.old" for a moment; when the process dies in that moment, the next
// AtomicDirectory for the target puts it back. Parent directories are created. Without commit()
// everything is removed.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(const Path& target);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();
  const Path& path() const { return temporary_; }
  void commit();

 private:
  Path target_, temporary_;
  bool committed_ = false;
};

}  // namespace trit
