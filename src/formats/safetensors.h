#pragma once
// Safetensors files (github.com/huggingface/safetensors, "Format"): 8 bytes little-endian header
// length, a JSON header {"name": {"dtype", "shape", "data_offsets"}, "__metadata__": {...}}, data.
// One file, or a Hugging Face directory in which model.safetensors.index.json names the shards.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/tensor.h"

namespace trit {

// Opened files, mapped into memory. Movable; the views stay valid as long as it (or what it was
// moved into) lives.
class Safetensors {
 public:
  // `path` is one file, or a directory with model.safetensors or else
  // model.safetensors.index.json and its shards. Everything the headers say is checked here:
  // offsets that do not fit dtype and shape, tensors that overlap or leave holes, duplicate names,
  // an index and shards that do not hold the same tensors throw Error naming file and tensor.
  static Safetensors open(const Path& path);
  // One file's bytes in memory, which must stay there as long as the result; errors call them `name`.
  static Safetensors parse(std::span<const std::byte> bytes, const Path& name);

  // The data follows the file's offsets: it may be unaligned for its type, so copy it out with
  // memcpy or to_f32 before use. Null when there is no such tensor.
  const TensorView* find(std::string_view name) const;
  // Throws Error naming the file and the tensor.
  const TensorView& get(std::string_view name) const;
  // In the order of the data; shards in the order of their file names.
  const std::vector<std::string>& names() const { return names_; }
  // __metadata__; of the first shard that has a key.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  explicit Safetensors(const Path& path) : path_(path) {}
  void add_file(const Path& file);
  void add_bytes(std::span<const std::byte> bytes, const std::string& where);
  void add_shards(const Path& index);

  Path path_;
  std::vector<MappedFile> files_;
  std::vector<std::string> names_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct NamedTensor {
  std::string name;
  TensorView tensor;
  MakeBytes make =
      {};  // called once when the tensor's turn has come, if set; then tensor.data is not read
};

// Writes the tensors in this order, one behind the other, the first on a multiple of 8 bytes.
// The file appears whole or not at all. Throws Error when a name occurs twice, is "__metadata__", or
// is not UTF-8.
void write_safetensors(const Path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

// Writes what transformers loads from the directory `directory`, which exists: model.safetensors,
// or, when the tensors have more than max_shard_bytes, model-00001-of-0000N.safetensors and so on
// with their index. A shard is larger than that only when one tensor is.
void write_safetensors_sharded(const Path& directory, std::span<const NamedTensor> tensors,
                               uint64_t max_shard_bytes);

}  // namespace trit
