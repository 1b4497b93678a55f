#include <set>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace trit {
namespace {

std::string quoted(std::string_view text, const Path& path) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    bad_input("{}: '{}' is not UTF-8", path.string(), printable(text));
  }
}

std::string metadata_member(const std::map<std::string, std::string>& metadata, const Path& path) {
  std::string text;
  for (const auto& [key, value] : metadata) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", quoted(key, path), quoted(value, path));
  }
  return fmt::format("\"__metadata__\":{{{}}}", text);
}

// The JSON header, padded so that the data begins on a multiple of 8 bytes.
std::string header(const Path& path, std::span<const NamedTensor> tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += metadata_member(metadata, path);
  std::set<std::string_view> names{"__metadata__"};
  uint64_t begin = 0;
  for (const auto& [name, tensor, make] : tensors) {
    if (!names.insert(name).second) {
      bad_input("{}: tensor name '{}' is taken", path.string(), printable(name));
    }
    const uint64_t end = begin + tensor.bytes();
    text += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        text.size() > 1 ? "," : "", quoted(name, path), dtype_name(tensor.type),
                        fmt::join(tensor.shape, ","), begin, end);
    begin = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

// Where the shards begin: consecutive tensors until the next one would not fit any more.
std::vector<std::span<const NamedTensor>> cut_shards(std::span<const NamedTensor> tensors,
                                                     uint64_t max_bytes) {
  std::vector<std::span<const NamedTensor>> shards;
  size_t first = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t size = tensors[i].tensor.bytes();
    if (i > first && bytes + size > max_bytes) {
      shards.push_back(tensors.subspan(first, i - first));
      first = i;
      bytes = 0;
    }
    bytes += size;
  }
  shards.push_back(tensors.subspan(first));
  return shards;
}

}  // namespace

void write_safetensors(const Path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string text = header(path, tensors, metadata);
  const uint64_t length = text.size();
  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text);
  for (const NamedTensor& named : tensors) {
    if (!named.make) {
      file.write(named.tensor.data, named.tensor.bytes());
      continue;
    }
    const Buffer<std::byte> made = named.make();
    TRIT_CHECK(made.size() == named.tensor.bytes());
    file.write(made.data(), made.size());
  }
  file.commit();
}

void write_safetensors_sharded(const Path& directory, std::span<const NamedTensor> tensors,
                               uint64_t max_shard_bytes) {
  // Versions of transformers refuse files whose metadata do not name the framework.
  const std::map<std::string, std::string> metadata{{"format", "pt"}};
  const std::vector<std::span<const NamedTensor>> shards = cut_shards(tensors, max_shard_bytes);
  const Path single = directory / "model.safetensors";
  if (shards.size() == 1) return write_safetensors(single, tensors, metadata);

  Json weight_map = Json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(directory / name, shards[i], metadata);
    for (const NamedTensor& named : shards[i]) {
      total += named.tensor.bytes();
      if (!weight_map.emplace(named.name, name).second) {
        bad_input("{}: tensor name '{}' is taken", directory.string(), printable(named.name));
      }
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  write_text(directory / "model.safetensors.index.json", index.dump(2) + "\n");
  // An older model in one file would be opened before the index.
  std::error_code error;
  std::filesystem::remove(single, error);
  if (error) failure("{}: cannot remove: {}", single.string(), error.message());
}

}  // namespace trit
