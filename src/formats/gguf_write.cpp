#include <algorithm>

#include "base/error.h"
#include "formats/gguf_layout.h"

namespace trit {
namespace {

template <class T>
void put(AtomicFile& file, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    put(file, uint64_t{value.size()});
    file.write(value);
  } else {
    file.write(&value, sizeof value);
  }
}

template <class T>
void put_items(AtomicFile& file, const std::vector<T>& items) {
  put(file, uint64_t{items.size()});
  for (size_t i = 0; i < items.size(); ++i) put<T>(file, items[i]);
}

void put_value(AtomicFile& file, const GgufValue& value) {
  put(file, static_cast<uint32_t>(value.index()));
  const auto* array = std::get_if<GgufArray>(&value);
  if (array == nullptr) {
    return std::visit(
        [&]<class T>(const T& held) {
          if constexpr (!std::is_same_v<T, GgufArray>) put(file, held);
        },
        value);
  }
  put(file, static_cast<uint32_t>(array->index()));
  std::visit(
      [&]<class Items>(const Items& items) {
        if constexpr (!std::is_same_v<Items, std::monostate>) put_items(file, items);
      },
      *array);
}

void put_tensor_entry(AtomicFile& file, const GgufTensor& tensor, uint64_t offset) {
  put(file, tensor.name);
  put(file, static_cast<uint32_t>(tensor.shape.size()));
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) put(file, *size);
  put(file, tensor.type);
  put(file, offset);
}

// The entry's bytes, held by `made` if they are made.
std::span<const std::byte> bytes_of(std::span<const std::byte> data, const MakeBytes& make,
                                    uint64_t bytes, Buffer<std::byte>& made) {
  if (!make) return data;
  made = make();
  TRIT_CHECK(made.size() == bytes);
  return {made.data(), made.size()};
}

}  // namespace

void GgufWriter::set(std::string_view key, GgufValue value) {
  const auto place = std::ranges::find(metadata_, key, &std::pair<std::string, GgufValue>::first);
  if (place != metadata_.end()) {
    place->second = std::move(value);
  } else {
    metadata_.emplace_back(key, std::move(value));
  }
}

void GgufWriter::add_tensor(std::string name, GgmlType type, Shape shape,
                            std::span<const std::byte> data) {
  add({std::move(name), type, std::move(shape), data}, {});
}

void GgufWriter::add_tensor(std::string name, GgmlType type, Shape shape, MakeBytes make) {
  add({std::move(name), type, std::move(shape), {}}, std::move(make));
}

void GgufWriter::add(GgufTensor tensor, MakeBytes make) {
  const std::string where = fmt::format("tensor '{}'", printable(tensor.name));
  if (tensor.name.size() > kGgufMaxNameBytes) {
    bad_input("{}: its name has {} bytes; at most {} are possible", where, tensor.name.size(),
              kGgufMaxNameBytes);
  }
  if (!tensor_names_.insert(tensor.name).second) bad_input("{}: the name is taken", where);
  if (tensor.shape.size() > kGgufMaxDimensions) {
    bad_input("{}: it has {} dimensions; at most {} are possible", where, tensor.shape.size(),
              kGgufMaxDimensions);
  }
  const uint64_t bytes = ggml_bytes(tensor.type, tensor.shape, where);
  if (!make && tensor.data.size() != bytes) {
    bad_input("{}: its data has {} bytes; {} of shape {} needs {}", where, tensor.data.size(),
              to_string(tensor.type), to_string(tensor.shape), bytes);
  }
  tensors_.push_back({std::move(tensor), bytes, std::move(make)});
}

void GgufWriter::write(const Path& path) const {
  const auto key =
      std::ranges::find(metadata_, kGgufAlignmentKey, &std::pair<std::string, GgufValue>::first);
  const uint64_t alignment =
      gguf_alignment(key == metadata_.end() ? nullptr : &key->second, path.string());
  AtomicFile file(path);
  Buffer<std::byte> made;
  uint32_t checksum = 0;
  for (const Entry& entry : tensors_)
    checksum = crc32_of(bytes_of(entry.tensor.data, entry.make, entry.bytes, made), checksum);
  std::vector<std::pair<std::string, GgufValue>> metadata = metadata_;
  std::erase_if(metadata, [](const auto& pair) { return pair.first == kGgufChecksumKey; });
  if (!tensors_.empty()) metadata.emplace_back(kGgufChecksumKey, checksum);
  put(file, kGgufMagic);
  put(file, kGgufVersion);
  put(file, uint64_t{tensors_.size()});
  put(file, uint64_t{metadata.size()});
  for (const auto& [name, value] : metadata) {
    put(file, name);
    put_value(file, value);
  }
  uint64_t offset = 0;
  for (const Entry& entry : tensors_) {
    put_tensor_entry(file, entry.tensor, offset);
    offset += (entry.bytes + alignment - 1) / alignment * alignment;
  }
  // The last tensor is padded as well: some readers take the data as whole blocks.
  file.pad_to(alignment);
  for (const Entry& entry : tensors_) {
    const auto bytes = bytes_of(entry.tensor.data, entry.make, entry.bytes, made);
    file.write(bytes.data(), bytes.size());
    file.pad_to(alignment);
  }
  file.commit();
}

}  // namespace trit
