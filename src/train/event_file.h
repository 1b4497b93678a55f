#pragma once
// Event files that TensorBoard reads: a TFRecord for each event, a protocol buffer of tensorflow/core/util/event.proto.
//
//   record   uint64 length, uint32 masked crc32c of it, data, uint32 masked crc32c of the data; little-endian
//   masked   ((crc >> 15) | (crc << 17)) + 0xa282ead8

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"

namespace trit {

uint32_t crc32c(std::string_view bytes);  // Castagnoli's polynomial
std::string tf_record(std::string_view data);

struct Scalar {
  std::string_view tag;  // "train/loss"
  float value;
};
// Events, not framed yet. `seconds` since 1970.
std::string version_event(double seconds);
// A run began, or went on, at this step: what an earlier file has of it and later ones no longer counts.
std::string start_event(double seconds, int64_t step);
std::string scalar_event(double seconds, int64_t step, std::span<const Scalar> scalars);

class EventFile {
 public:
  // A new file in `directory`, which is made. Throws Error (exit code 1) when it cannot be written.
  EventFile(const Path& directory, int64_t first_step);
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  ~EventFile();
  void write(int64_t step, std::span<const Scalar> scalars);

 private:
  void append(const std::string& event);
  Path path_;
  std::FILE* file_ = nullptr;
};

}  // namespace trit
