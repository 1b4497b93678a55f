#include "train/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/collectives.h"
#include "base/error.h"

namespace trit {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they are");

std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    table[byte] = crc;
  }
  return table;
}

template <class T>
std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// A number in groups of seven bits.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
  return bytes;
}

// Fields of a protocol buffer: number and wire type, then the value.
enum class Wire : uint8_t { kVarint = 0, kDouble = 1, kBytes = 2, kFloat = 5 };
std::string key(int field, Wire wire) {
  return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}
std::string text_field(int field, std::string_view text) {
  return key(field, Wire::kBytes).append(varint(text.size())).append(text);
}

std::string head(double seconds, int64_t step) {
  std::string event = key(1, Wire::kDouble) + bytes_of(seconds);
  if (step != 0) event += key(2, Wire::kVarint) + varint(static_cast<uint64_t>(step));
  return event;
}

double now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

std::string tf_record(std::string_view data) {
  const std::string length = bytes_of(static_cast<uint64_t>(data.size()));
  std::string record = length + bytes_of(masked_crc(length));
  return record.append(data).append(bytes_of(masked_crc(data)));
}

std::string version_event(double seconds) {
  return head(seconds, 0) + text_field(3, "brain.Event:2");
}

std::string start_event(double seconds, int64_t step) {
  constexpr uint64_t kStart = 1;  // SessionLog.SessionStatus
  return head(seconds, step) + text_field(7, key(1, Wire::kVarint) + varint(kStart));
}

std::string scalar_event(double seconds, int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars)
    summary +=
        text_field(1, text_field(1, scalar.tag) + key(2, Wire::kFloat) + bytes_of(scalar.value));
  return head(seconds, step) + text_field(5, summary);
}

EventFile::EventFile(const Path& directory, int64_t first_step) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const double start = now();
  path_ = directory / fmt::format("events.out.tfevents.{:010}.{}.{}", static_cast<int64_t>(start),
                                  host_name(), getpid());
  file_ = std::fopen(path_.c_str(), "wb");
  if (file_ == nullptr) failure("{}: cannot be opened for writing", path_.string());
  append(version_event(start));
  append(start_event(start, first_step));
}

EventFile::~EventFile() { std::fclose(file_); }

void EventFile::write(int64_t step, std::span<const Scalar> scalars) {
  append(scalar_event(now(), step, scalars));
}

void EventFile::append(const std::string& event) {
  const std::string record = tf_record(event);
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() ||
      std::fflush(file_) != 0)
    failure("{}: cannot be written (disk full?)", path_.string());
}

}  // namespace trit
