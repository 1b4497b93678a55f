#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "formats/shape_check.h"

namespace trit {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr const char* kMetadataKey = "__metadata__";

struct Entry {
  std::string name;
  TensorView tensor;
  uint64_t begin, end;  // bytes from the start of the data
};

std::optional<DType> dtype_named(std::string_view name) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI8,
                           DType::kU8, DType::kI16, DType::kI32, DType::kI64, DType::kBool}) {
    if (dtype_name(type) == name) return type;
  }
  return std::nullopt;
}

// The JSON text between the length and the data.
std::string_view header_text(std::span<const std::byte> bytes, std::string_view where) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    bad_input("{}: {} bytes long; a safetensors file has at least 10", where, bytes.size());
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t room = std::min<uint64_t>(bytes.size() - sizeof length, kMaxHeaderBytes);
  if (length > room) {
    bad_input("{}: header length is {}; at most {} are possible in this file", where, length, room);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof length, length);
  if (!text.starts_with('{')) {
    bad_input("{}: header begins with '{}'; it must be a JSON object", where,
              printable(text.substr(0, 1)));
  }
  return text;
}

// `where` names file and tensor.
std::vector<uint64_t> sizes(const Json& object, const char* key, std::string_view where) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_array()) {
    bad_input("{}: {} is missing or no array", where, key);
  }
  std::vector<uint64_t> values;
  for (const Json& item : *member) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > INT64_MAX) {
      bad_input("{}: {} has {}; it holds integers from 0 to 2^63 - 1", where, key,
                printable(item.is_structured() ? item.type_name() : item.dump()));
    }
    values.push_back(item.get<uint64_t>());
  }
  return values;
}

Entry read_entry(const std::string& name, const Json& object, std::span<const std::byte> data,
                 std::string_view file) {
  const std::string where = fmt::format("{}: tensor '{}'", file, printable(name));
  if (!object.is_object()) bad_input("{}: it is described by {}", where, object.type_name());
  const std::string dtype = json_string(object, "dtype", where);
  const std::optional<DType> type = dtype_named(dtype);
  if (!type) {
    bad_input("{}: dtype is '{}'; trit reads F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL",
              where, printable(dtype));
  }
  const std::vector<uint64_t> shape = sizes(object, "shape", where);
  const std::vector<uint64_t> offsets = sizes(object, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
    bad_input("{}: data_offsets are [{}]; they must be [begin, end] in the {} bytes of data", where,
              printable(fmt::format("{}", fmt::join(offsets, ", "))), data.size());
  }
  Entry entry{name,
              {*type, Shape(shape.begin(), shape.end()), data.data() + offsets[0]},
              offsets[0],
              offsets[1]};
  const uint64_t bytes =
      static_cast<uint64_t>(checked_count(entry.tensor.shape, where)) * dtype_size(*type);
  if (bytes != entry.end - entry.begin) {
    bad_input("{}: data_offsets span {} bytes; {} of shape {} needs {}", where,
              entry.end - entry.begin, dtype, printable(to_string(entry.tensor.shape)), bytes);
  }
  return entry;
}

// Sorts by place; every byte of the data must belong to exactly one tensor.
void check_cover(std::vector<Entry>& entries, size_t data_bytes, std::string_view file) {
  std::ranges::stable_sort(entries, {}, [](const Entry& e) { return std::pair(e.begin, e.end); });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      bad_input("{}: tensor '{}' begins at byte {} of the data; the one before ends at {}", file,
                printable(entry.name), entry.begin, end);
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    bad_input("{}: the data has {} bytes; the tensors end at {}", file, data_bytes, end);
  }
}

void read_metadata(const Json& object, std::string_view file,
                   std::map<std::string, std::string>& metadata) {
  if (!object.is_object()) {
    bad_input("{}: {} is {}; it must be an object", file, kMetadataKey, object.type_name());
  }
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) {
      bad_input("{}: {} '{}' is {}; it must be a string", file, kMetadataKey, printable(key),
                value.type_name());
    }
    metadata.emplace(key, value.get<std::string>());
  }
}

// Tensor name -> shard file name.
std::map<std::string, std::string> read_weight_map(const Path& index) {
  const std::string where = index.string();
  const Json json = parse_json(read_text(index, kMaxHeaderBytes), where);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    bad_input("{}: weight_map is missing or no object", where);
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, value] : json["weight_map"].items()) {
    const std::string shard = value.is_string() ? value.get<std::string>() : "";
    const std::string_view forbidden("/\\\0", 3);
    if (shard.empty() || shard.find_first_of(forbidden) != shard.npos || shard == "..") {
      bad_input("{}: weight_map gives '{}' the shard '{}'; it must be a file name in the directory",
                where, printable(name), printable(shard));
    }
    shards.emplace(name, shard);
  }
  return shards;
}

}  // namespace

Safetensors Safetensors::open(const Path& path) {
  Safetensors result(path);
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    result.add_file(path);
    return result;
  }
  const Path single = path / "model.safetensors", index = path / "model.safetensors.index.json";
  if (std::filesystem::exists(single, ignored)) {
    result.add_file(single);
  } else if (std::filesystem::exists(index, ignored)) {
    result.add_shards(index);
  } else {
    bad_input("{}: it has neither model.safetensors nor model.safetensors.index.json",
              path.string());
  }
  return result;
}

Safetensors Safetensors::parse(std::span<const std::byte> bytes, const Path& name) {
  Safetensors result(name);
  result.add_bytes(bytes, name.string());
  return result;
}

void Safetensors::add_file(const Path& file) {
  add_bytes(files_.emplace_back(file).bytes(), file.string());
}

void Safetensors::add_bytes(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text = header_text(bytes, where);
  const std::span<const std::byte> data = bytes.subspan(sizeof(uint64_t) + text.size());
  const Json header = parse_json(text, where);
  std::vector<Entry> entries;
  for (const auto& [name, object] : header.items()) {
    if (name == kMetadataKey) {
      read_metadata(object, where, metadata_);
    } else {
      entries.push_back(read_entry(name, object, data, where));
    }
  }
  check_cover(entries, data.size(), where);
  for (Entry& entry : entries) {
    names_.push_back(entry.name);
    if (!tensors_.emplace(entry.name, std::move(entry.tensor)).second) {
      bad_input("{}: tensor '{}' is in another shard as well", where, printable(entry.name));
    }
  }
}

void Safetensors::add_shards(const Path& index) {
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  for (const std::string& shard : shards) {
    const size_t before = names_.size();
    add_file(index.parent_path() / shard);
    for (size_t i = before; i < names_.size(); ++i) {
      const auto place = weight_map.find(names_[i]);
      if (place == weight_map.end() || place->second != shard) {
        bad_input("{}: tensor '{}' is in {}, where weight_map does not place it", index.string(),
                  printable(names_[i]), shard);
      }
    }
  }
  for (const auto& [name, shard] : weight_map) {
    if (find(name) == nullptr) {
      bad_input("{}: weight_map places tensor '{}' in {}, which does not hold it", index.string(),
                printable(name), printable(shard));
    }
  }
}

const TensorView* Safetensors::find(std::string_view name) const {
  const auto tensor = tensors_.find(name);
  return tensor == tensors_.end() ? nullptr : &tensor->second;
}

const TensorView& Safetensors::get(std::string_view name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) bad_input("{}: tensor '{}' is missing", path_.string(), printable(name));
  return *tensor;
}

}  // namespace trit
