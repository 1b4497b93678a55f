#pragma once
// GGUF files (github.com/ggml-org/ggml, docs/gguf.md): typed metadata, tensor list, aligned data.
// Reads versions 2 and 3, writes version 3; both little-endian.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/tensor.h"
#include "formats/ggml_type.h"

namespace trit {

// A metadata value with the exact type of the file, so that writing it back loses nothing. The
// index in the variant is the type id on disk: do not reorder. Strings are bytes as they stand in
// the file; they need not be UTF-8. Arrays of arrays do not exist here.
using GgufArray =
    std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                 std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                 std::vector<float>, std::vector<bool>, std::vector<std::string>, std::monostate,
                 std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>>;
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, GgufArray, uint64_t, int64_t, double>;

struct GgufTensor {
  std::string name;
  GgmlType type;
  Shape shape;  // outermost dimension first: the reverse of the file's order
  std::span<const std::byte> data;
};

// An opened file, mapped into memory. Movable; tensor data and the references that the getters
// return stay valid as long as it (or what it was moved into) lives.
class Gguf {
 public:
  // Throws Error naming the file and what is wrong with it. Afterwards all tensors lie inside the
  // file, aligned, without overlap, and have the size that type and shape ask for.
  static Gguf open(const Path& path);
  // The same from bytes in memory, which must stay there as long as the result; errors call them
  // `name`. Tensors are aligned when the bytes are.
  static Gguf parse(std::span<const std::byte> bytes, const Path& name);

  const Path& path() const { return path_; }
  uint32_t version() const { return version_; }

  // Metadata in file order.
  std::span<const std::pair<std::string, GgufValue>> metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // null when absent
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Throw Error naming file, key and found type when the key is missing, of another kind, or out
  // of range. get_int and get_uint take integers of any width, get_float both float types.
  uint64_t get_uint(std::string_view key) const;
  int64_t get_int(std::string_view key) const;
  double get_float(std::string_view key) const;
  bool get_bool(std::string_view key) const;
  const std::string& get_string(std::string_view key) const;
  const std::vector<std::string>& get_strings(std::string_view key) const;
  std::vector<int64_t> get_ints(std::string_view key) const;
  std::vector<double> get_floats(std::string_view key) const;

  // The same with a value for a missing key; one of another kind is still an error.
  uint64_t get_uint_or(std::string_view key, uint64_t fallback) const;
  double get_float_or(std::string_view key, double fallback) const;
  bool get_bool_or(std::string_view key, bool fallback) const;
  std::string get_string_or(std::string_view key, std::string fallback) const;

  // Tensors in file order.
  std::span<const GgufTensor> tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // null when absent
  const GgufTensor& get_tensor(std::string_view name) const;   // Error when absent

  // The mapped file, in which tensor data stay where they are: for whoever needs nothing else of it any more.
  MappedFile take_file() && { return std::move(file_); }

 private:
  Gguf() = default;

  MappedFile file_;  // empty after parse()
  Path path_;
  uint32_t version_ = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> keys_, tensor_names_;  // places in the lists above
};

// The CRC-32 (as in zlib) of all tensor data in file order, without the padding, under this key: written by
// trit into every file, ignored by other readers.
inline constexpr const char* kGgufChecksumKey = "trit.tensors.crc32";
// Whether the data are what the checksum says; nothing when the file has none.
std::optional<bool> checksum_holds(const Gguf& file);

// Collects metadata and tensors, then writes them in the order in which they came.
class GgufWriter {
 public:
  // A key that is set again keeps its place. "general.alignment" (uint32_t, a power of two) sets
  // the alignment of the data, which is 32 otherwise.
  void set(std::string_view key, GgufValue value);
  // Copies nothing: `data` must stay valid until write() has returned. Throws Error when the name
  // is taken or longer than 64 bytes, the shape has more than 4 dimensions, or the size is not the
  // one that type and shape ask for.
  void add_tensor(std::string name, GgmlType type, Shape shape, std::span<const std::byte> data);
  // The same with bytes that write() has made one tensor after the other.
  void add_tensor(std::string name, GgmlType type, Shape shape, MakeBytes make);
  // The file appears whole or not at all. Bytes that are made are made twice: for the checksum, which
  // stands before them, and for the file.
  void write(const Path& path) const;

 private:
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  struct Entry {
    GgufTensor tensor;
    uint64_t bytes;
    MakeBytes make;
  };
  void add(GgufTensor tensor, MakeBytes make);
  std::vector<Entry> tensors_;
  std::set<std::string> tensor_names_;
};

}  // namespace trit
