// The parser of GGUF files. Every count and offset is checked against what is left of the file
// before anything is allocated by it.

#include <algorithm>
#include <cstring>
#include <optional>

#include "formats/gguf_layout.h"
#include "formats/shape_check.h"

namespace trit {
namespace {

constexpr uint32_t kArrayId = 9;

// Bytes that are consumed from the front.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(where) {}
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }
  // What errors begin with: the file and what is being read.
  const std::string& where() const { return where_; }
  void set_where(std::string where) { where_ = std::move(where); }

  std::span<const std::byte> take_bytes(uint64_t count) {
    if (count > left()) {
      bad_input("{}: {} bytes are needed at offset {}; the file has {} more", where_, count,
                position_, left());
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  // A number, bool or string.
  template <class T>
  T take() {
    if constexpr (std::is_same_v<T, std::string>) {
      const std::span<const std::byte> text = take_bytes(take<uint64_t>());
      return {reinterpret_cast<const char*>(text.data()), text.size()};
    } else if constexpr (std::is_same_v<T, bool>) {
      const auto byte = take<uint8_t>();
      if (byte > 1) bad_input("{}: a bool is {}; it must be 0 or 1", where_, byte);
      return byte == 1;
    } else {
      T value;
      std::memcpy(&value, take_bytes(sizeof value).data(), sizeof value);
      return value;
    }
  }

  // A count of things of at least `least_bytes` each that must still be in the file.
  uint64_t take_count(std::string_view what, size_t least_bytes) {
    const auto count = take<uint64_t>();
    if (count > left() / least_bytes) {
      bad_input("{}: {} is {}; the {} bytes left hold at most {}", where_, what, count, left(),
                left() / least_bytes);
    }
    return count;
  }

  template <class T>
  std::vector<T> take_array() {
    // A string is its length and its bytes.
    constexpr size_t kLeast = std::is_same_v<T, std::string> ? sizeof(uint64_t) : sizeof(T);
    std::vector<T> items(take_count("array length", kLeast));
    for (size_t i = 0; i < items.size(); ++i) items[i] = take<T>();
    return items;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  size_t position_ = 0;
};

// Calls read<T>() with the C++ type of a type id.
template <class Read>
GgufValue with_type(uint32_t id, std::string_view where, Read read) {
  switch (id) {
    case 0:
      return read.template operator()<uint8_t>();
    case 1:
      return read.template operator()<int8_t>();
    case 2:
      return read.template operator()<uint16_t>();
    case 3:
      return read.template operator()<int16_t>();
    case 4:
      return read.template operator()<uint32_t>();
    case 5:
      return read.template operator()<int32_t>();
    case 6:
      return read.template operator()<float>();
    case 7:
      return read.template operator()<bool>();
    case 8:
      return read.template operator()<std::string>();
    case 10:
      return read.template operator()<uint64_t>();
    case 11:
      return read.template operator()<int64_t>();
    case 12:
      return read.template operator()<double>();
    case kArrayId:
      bad_input("{}: it is an array of arrays, which trit does not read", where);
    default:
      bad_input("{}: type id is {}; GGUF has 0 to 12", where, id);
  }
}

GgufValue take_value(Cursor& cursor) {
  const auto id = cursor.take<uint32_t>();
  if (id != kArrayId) {
    return with_type(id, cursor.where(), [&]<class T>() { return GgufValue(cursor.take<T>()); });
  }
  const auto item_id = cursor.take<uint32_t>();
  return with_type(item_id, cursor.where(),
                   [&]<class T>() { return GgufValue(GgufArray(cursor.take_array<T>())); });
}

// Checks magic and version; returns the version.
uint32_t take_version(Cursor& cursor) {
  if (cursor.left() < 2 * sizeof(uint32_t) || cursor.take<uint32_t>() != kGgufMagic) {
    bad_input("{}: it does not begin with 'GGUF'; it is no GGUF file", cursor.where());
  }
  const auto version = cursor.take<uint32_t>();
  if (version != 2 && version != kGgufVersion) {
    const bool swapped = version != 0 && (version & 0xFFFF) == 0;
    bad_input("{}: version is {}{}; trit reads 2 and 3, little-endian", cursor.where(), version,
              swapped ? " (a big-endian file)" : "");
  }
  return version;
}

std::pair<std::string, GgufValue> take_pair(Cursor& cursor, const std::string& file) {
  auto key = cursor.take<std::string>();
  cursor.set_where(fmt::format("{}: key '{}'", file, printable(key)));
  return {std::move(key), take_value(cursor)};
}

// A tensor as the list describes it; the data is somewhere behind the list.
struct TensorEntry {
  GgufTensor tensor;
  std::string where;  // file and tensor
  uint64_t offset, bytes;
};

Shape take_shape(Cursor& cursor) {
  const auto dimensions = cursor.take<uint32_t>();
  if (dimensions > kGgufMaxDimensions) {
    bad_input("{}: it has {} dimensions; at most {} are possible", cursor.where(), dimensions,
              kGgufMaxDimensions);
  }
  Shape shape(dimensions);
  for (int64_t& size : shape) {
    size = static_cast<int64_t>(std::min<uint64_t>(cursor.take<uint64_t>(), INT64_MAX));
  }
  std::ranges::reverse(shape);
  return shape;
}

TensorEntry take_tensor(Cursor& cursor, const std::string& file) {
  TensorEntry entry;
  entry.tensor.name = cursor.take<std::string>();
  entry.where = fmt::format("{}: tensor '{}'", file, printable(entry.tensor.name));
  cursor.set_where(entry.where);
  if (entry.tensor.name.size() > kGgufMaxNameBytes) {
    bad_input("{}: its name has {} bytes; at most {} are possible", entry.where,
              entry.tensor.name.size(), kGgufMaxNameBytes);
  }
  entry.tensor.shape = take_shape(cursor);
  const auto id = cursor.take<uint32_t>();
  const std::optional<GgmlType> type = ggml_type_of_id(id);
  if (!type) {
    bad_input("{}: its type is {} (id {}), which trit does not read", entry.where, ggml_id_name(id),
              id);
  }
  entry.tensor.type = *type;
  entry.bytes = ggml_bytes(*type, entry.tensor.shape, entry.where);
  entry.offset = cursor.take<uint64_t>();
  return entry;
}

// Points the tensors into `data`.
void place_tensors(std::vector<TensorEntry>& entries, std::span<const std::byte> data,
                   uint32_t alignment) {
  for (TensorEntry& entry : entries) {
    if (entry.offset % alignment != 0) {
      bad_input("{}: its offset {} is no multiple of the alignment {}", entry.where, entry.offset,
                alignment);
    }
    if (entry.offset > data.size() || entry.bytes > data.size() - entry.offset) {
      bad_input("{}: its {} bytes at offset {} end behind the {} bytes of data", entry.where,
                entry.bytes, entry.offset, data.size());
    }
    entry.tensor.data = data.subspan(entry.offset, entry.bytes);
  }
}

void check_overlap(const std::vector<TensorEntry>& entries) {
  std::vector<const TensorEntry*> sorted;
  for (const TensorEntry& entry : entries) {
    if (entry.bytes > 0) sorted.push_back(&entry);
  }
  std::ranges::sort(sorted, {}, &TensorEntry::offset);
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorEntry &before = *sorted[i - 1], &entry = *sorted[i];
    if (entry.offset < before.offset + before.bytes) {
      bad_input("{}: its offset {} lies inside tensor '{}'", entry.where, entry.offset,
                printable(before.tensor.name));
    }
  }
}

}  // namespace

Gguf Gguf::open(const Path& path) {
  MappedFile file(path);
  Gguf result = parse(file.bytes(), path);
  result.file_ = std::move(file);
  return result;
}

Gguf Gguf::parse(std::span<const std::byte> bytes, const Path& name) {
  Gguf result;
  result.path_ = name;
  const std::string file = name.string();
  Cursor cursor(bytes, file);
  result.version_ = take_version(cursor);
  // The least that the list of tensors and a pair need: empty names, no dimensions, one byte.
  const uint64_t tensor_count = cursor.take_count("tensor_count", 24);
  const uint64_t pair_count = cursor.take_count("metadata_kv_count", 13);
  for (uint64_t i = 0; i < pair_count; ++i) {
    auto& [key, value] = result.metadata_.emplace_back(take_pair(cursor, file));
    if (!result.keys_.emplace(key, i).second) bad_input("{}: it occurs twice", cursor.where());
  }
  std::vector<TensorEntry> entries;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    const TensorEntry& entry = entries.emplace_back(take_tensor(cursor, file));
    if (!result.tensor_names_.emplace(entry.tensor.name, i).second) {
      bad_input("{}: it occurs twice", entry.where);
    }
  }
  const uint32_t alignment = gguf_alignment(result.find(kGgufAlignmentKey), file);
  const size_t padding = (alignment - cursor.position() % alignment) % alignment;
  cursor.take_bytes(std::min(padding, cursor.left()));
  place_tensors(entries, cursor.take_bytes(cursor.left()), alignment);
  check_overlap(entries);
  for (TensorEntry& entry : entries) result.tensors_.push_back(std::move(entry.tensor));
  return result;
}

}  // namespace trit
