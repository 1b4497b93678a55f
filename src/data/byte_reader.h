#pragma once
// A file as a stream of bytes, decompressed on the way.

#include <cstddef>
#include <memory>
#include <string>

#include "base/file.h"

namespace trit {

class ByteReader {
 public:
  virtual ~ByteReader() = default;
  // Fills up to `capacity` bytes; 0 at the end. Throws Error naming the file when it cannot be read,
  // is truncated or is not what its name says.
  virtual size_t read(char* buffer, size_t capacity) = 0;
};

// By the end of the name: `.zst` (Zstandard, windows up to 2 GiB), `.gz`, anything else as it is.
std::unique_ptr<ByteReader> open_bytes(const Path& path);
// All of it. Throws Error naming the file when that is more than max_bytes.
std::string read_all(const Path& path, size_t max_bytes = size_t{1} << 30);

}  // namespace trit
