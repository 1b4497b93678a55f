#include "data/byte_reader.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

constexpr int kMaxWindowLog = 31;  // `zstd --long=31` is the widest there is

class PlainReader : public ByteReader {
 public:
  explicit PlainReader(const Path& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr)
      bad_input("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  ~PlainReader() override { std::fclose(file_); }
  PlainReader(const PlainReader&) = delete;
  PlainReader& operator=(const PlainReader&) = delete;

  size_t read(char* buffer, size_t capacity) override {
    const size_t count = std::fread(buffer, 1, capacity, file_);
    if (count == 0 && std::ferror(file_) != 0) {
      bad_input("{}: cannot be read: {}", path_.string(), std::strerror(errno));
    }
    return count;
  }

 private:
  Path path_;
  std::FILE* file_;
};

class ZstdReader : public ByteReader {
 public:
  explicit ZstdReader(const Path& path)
      : path_(path), file_(path), input_(ZSTD_DStreamInSize()), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) failure("{}: no memory for decompression", path.string());
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ~ZstdReader() override { ZSTD_freeDStream(stream_); }
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;

  size_t read(char* buffer, size_t capacity) override {
    ZSTD_outBuffer output{buffer, capacity, 0};
    while (output.pos == 0) {
      if (available_.pos == available_.size) {
        available_ = {input_.data(), file_.read(input_.data(), input_.size()), 0};
      }
      if (available_.size == 0 && !pending_) return 0;
      const size_t result = ZSTD_decompressStream(stream_, &output, &available_);
      if (ZSTD_isError(result) != 0) {
        bad_input("{}: not valid Zstandard data: {}", path_.string(), ZSTD_getErrorName(result));
      }
      pending_ = result != 0;
      if (pending_ && output.pos == 0 && available_.size == 0) {
        bad_input("{}: Zstandard data is truncated", path_.string());
      }
    }
    return output.pos;
  }

 private:
  Path path_;
  PlainReader file_;
  std::vector<char> input_;
  ZSTD_inBuffer available_{nullptr, 0, 0};
  ZSTD_DStream* stream_;
  bool pending_ = true;  // a frame is begun, or none was seen yet: the end may not come here
};

class GzipReader : public ByteReader {
 public:
  explicit GzipReader(const Path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr)
      bad_input("{}: cannot be opened: {}", path.string(), std::strerror(errno));
    gzbuffer(file_, 1 << 17);
    if (gzdirect(file_) != 0) {  // zlib would hand such a file through
      gzclose_r(file_);
      bad_input("{}: not a gzip file", path.string());
    }
  }
  ~GzipReader() override { gzclose_r(file_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  size_t read(char* buffer, size_t capacity) override {
    constexpr size_t kMaxCall = size_t{1} << 30;  // gzread counts in int
    const int count = gzread(file_, buffer, static_cast<unsigned>(std::min(capacity, kMaxCall)));
    int error = Z_OK;
    const char* message = gzerror(file_, &error);
    if (error == Z_BUF_ERROR) bad_input("{}: gzip data is truncated", path_.string());
    if (count < 0) bad_input("{}: not valid gzip data: {}", path_.string(), message);
    return static_cast<size_t>(count);
  }

 private:
  Path path_;
  gzFile file_;
};

}  // namespace

std::unique_ptr<ByteReader> open_bytes(const Path& path) {
  const std::string ending = path.extension().string();
  if (!std::filesystem::is_regular_file(path)) {
    bad_input("{}: {}", path.string(),
              std::filesystem::exists(path) ? "is no regular file" : "no such file");
  }
  if (ending == ".zst") return std::make_unique<ZstdReader>(path);
  if (ending == ".gz") return std::make_unique<GzipReader>(path);
  return std::make_unique<PlainReader>(path);
}

std::string read_all(const Path& path, size_t max_bytes) {
  const std::unique_ptr<ByteReader> bytes = open_bytes(path);
  std::string text;
  constexpr size_t kPiece = size_t{1} << 20;
  while (true) {
    const size_t held = text.size();
    if (held > max_bytes) bad_input("{}: it has more than {} bytes", path.string(), max_bytes);
    text.resize(held + kPiece);
    const size_t count = bytes->read(text.data() + held, kPiece);
    text.resize(held + count);
    if (count == 0) return text;
  }
}

}  // namespace trit
