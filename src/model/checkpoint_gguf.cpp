// One GGUF v3 file: what trit runs.

#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "model/checkpoint.h"
#include "quant/packing.h"
#include "text/tokenizer_gguf.h"

namespace trit {
namespace {

constexpr std::string_view kArchitecture = "trit";
constexpr uint32_t kFormatVersion = 1;
constexpr std::string_view kPacking = "2bit-128";  // quant/packing.h

GgmlType ggml_type(DType type) {
  switch (type) {
    case DType::kF16:
      return GgmlType::kF16;
    case DType::kBF16:
      return GgmlType::kBF16;
    default:
      return GgmlType::kF32;
  }
}

// Tensors to be written and the memory behind those that are made for the file.
class TensorList {
 public:
  explicit TensorList(GgufWriter& writer) : writer_(writer) {}
  void add(const std::string& name, GgmlType type, Shape shape, const void* data, size_t bytes) {
    writer_.add_tensor(name, type, std::move(shape), {static_cast<const std::byte*>(data), bytes});
  }
  // `data` of type `from`, converted when `to` differs.
  void add_float(const std::string& name, const Shape& shape, const void* data, DType from,
                 DType to) {
    const size_t count = static_cast<size_t>(element_count(shape));
    if (from == to) return add(name, ggml_type(to), shape, data, count * dtype_size(to));
    std::vector<float> values(count);
    to_f32(from, data, count, values.data());
    Buffer<std::byte>& converted = made_.emplace_back(count * dtype_size(to));
    from_f32(to, values.data(), count, converted.data());
    add(name, ggml_type(to), shape, converted.data(), converted.size());
  }

 private:
  GgufWriter& writer_;
  std::vector<Buffer<std::byte>> made_;
};

std::string scale_name(const TensorRow& row) {
  return row.gguf_name.substr(0, row.gguf_name.size() - std::string_view(".weight").size()) +
         ".scale";
}

void write_config(GgufWriter& writer, const Config& config) {
  const auto size = [&](std::string_view key, int64_t value) {
    writer.set(fmt::format("{}.{}", kArchitecture, key), static_cast<uint32_t>(value));
  };
  const auto text = [&](std::string_view key, std::string_view value) {
    writer.set(fmt::format("{}.{}", kArchitecture, key), std::string(value));
  };
  size("format_version", kFormatVersion);
  text("weights", to_string(config.weights));
  text("norms", to_string(config.norms));
  text("activation", to_string(config.activation));
  if (config.weights != WeightKind::kFloat) text("packing", kPacking);
  size("vocab_size", config.vocabulary);
  size("context_length", config.context);
  size("embedding_length", config.hidden);
  size("block_count", config.layers);
  size("feed_forward_length", config.ffn);
  size("attention.head_count", config.heads);
  size("attention.head_count_kv", config.kv_heads);
  size("attention.key_length", config.head_dim);
  size("rope.dimension_count", config.head_dim);
  writer.set(fmt::format("{}.rope.freq_base", kArchitecture), config.rope_theta);
  writer.set(fmt::format("{}.attention.layer_norm_rms_epsilon", kArchitecture),
             config.norm_epsilon);
}

template <class Value>
Value read_name(const Gguf& file, std::string_view key, std::initializer_list<Value> values) {
  const std::string name = file.get_string(fmt::format("{}.{}", kArchitecture, key));
  std::string names;
  for (const Value value : values) {
    if (to_string(value) == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(to_string(value));
  }
  bad_input("{}: {}.{} is '{}'; it must be one of {}", file.path().string(), kArchitecture, key,
            printable(name), names);
}

Config read_config(const Gguf& file) {
  const std::string where = file.path().string();
  const std::string architecture = file.get_string("general.architecture");
  if (architecture != kArchitecture) {
    bad_input("{}: general.architecture is '{}'; trit opens '{}'", where, printable(architecture),
              kArchitecture);
  }
  const auto size = [&](std::string_view key) {
    const uint64_t value = file.get_uint(fmt::format("{}.{}", kArchitecture, key));
    return static_cast<int64_t>(std::min<uint64_t>(value, uint64_t{1} << 40));
  };
  if (const int64_t version = size("format_version"); version != kFormatVersion) {
    bad_input("{}: {}.format_version is {}; this trit opens version {}", where, kArchitecture,
              version, kFormatVersion);
  }
  Config config;
  config.weights =
      read_name(file, "weights", {WeightKind::kFloat, WeightKind::kTernary, WeightKind::kBinary});
  config.norms = read_name(
      file, "norms", {NormForm::kBlock, NormForm::kInner, NormForm::kInnerPlain, NormForm::kSub});
  config.activation = read_name(file, "activation", {Activation::kSilu, Activation::kRelu2});
  if (config.weights != WeightKind::kFloat) {
    const std::string packing = file.get_string(fmt::format("{}.packing", kArchitecture));
    if (packing != kPacking) {
      bad_input("{}: {}.packing is '{}'; trit opens '{}'", where, kArchitecture, printable(packing),
                kPacking);
    }
  }
  config.vocabulary = size("vocab_size");
  config.context = size("context_length");
  config.hidden = size("embedding_length");
  config.layers = size("block_count");
  config.ffn = size("feed_forward_length");
  config.heads = size("attention.head_count");
  config.kv_heads = size("attention.head_count_kv");
  config.head_dim = size("attention.key_length");
  config.rope_theta =
      static_cast<float>(file.get_float(fmt::format("{}.rope.freq_base", kArchitecture)));
  config.norm_epsilon = static_cast<float>(
      file.get_float(fmt::format("{}.attention.layer_norm_rms_epsilon", kArchitecture)));
  config.tied = file.find_tensor("output.weight") == nullptr;
  validate(config, where);
  return config;
}

// A tensor of the file with the type and shape that the model needs.
const GgufTensor& take(const Gguf& file, const std::string& name,
                       std::initializer_list<GgmlType> types, const Shape& shape) {
  const GgufTensor& tensor = file.get_tensor(name);
  if (tensor.shape != shape) {
    bad_input("{}: {} has shape {}; the model needs {}", file.path().string(), name,
              to_string(tensor.shape), to_string(shape));
  }
  if (std::ranges::find(types, tensor.type) == types.end()) {
    bad_input("{}: {} has type {}, which does not belong there", file.path().string(), name,
              to_string(tensor.type));
  }
  return tensor;
}

DType dtype_of(GgmlType type) {
  if (type == GgmlType::kF16) return DType::kF16;
  return type == GgmlType::kBF16 ? DType::kBF16 : DType::kF32;
}

void check_finite(const Gguf& file, const GgufTensor& tensor) {
  const DType type = dtype_of(tensor.type);
  const int64_t count = element_count(tensor.shape), size = static_cast<int64_t>(dtype_size(type));
  parallel_ranges(count, 65536, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(end - begin));
    to_f32(type, tensor.data.data() + begin * size, values.size(), values.data());
    for (const float value : values) {
      if (!std::isfinite(value)) {
        bad_input("{}: {} has a weight of {}; weights must be finite", file.path().string(),
                  tensor.name, value);
      }
    }
  });
}

void take_packed(const Gguf& file, const TensorRow& row, WeightKind kind, Linear& linear) {
  const int64_t row_bytes = packed_row_bytes(linear.inputs);
  const GgufTensor& tensor =
      take(file, row.gguf_name, {GgmlType::kI8}, {linear.outputs, row_bytes});
  const auto* packed = reinterpret_cast<const uint8_t*>(tensor.data.data());
  const TritCounts counts =
      count_trits({packed, tensor.data.size()}, linear.outputs, linear.inputs);
  if (counts.invalid > 0) {
    bad_input("{}: {} has {} invalid codes; a trit's code is 0, 1 or 2", file.path().string(),
              row.gguf_name, counts.invalid);
  }
  if (kind == WeightKind::kBinary && counts.zero > 0) {
    bad_input("{}: {} has {} zeros; binary weights are -1 or +1", file.path().string(),
              row.gguf_name, counts.zero);
  }
  const std::string scale = scale_name(row);
  to_f32(DType::kF32, take(file, scale, {GgmlType::kF32}, {1}).data.data(), 1, &linear.scale);
  if (!std::isfinite(linear.scale) || linear.scale <= 0.0f) {
    bad_input("{}: {} is {}; a scale is positive and finite", file.path().string(), scale,
              linear.scale);
  }
  linear.packed = packed;
}

}  // namespace

Model Model::open_gguf(const Path& path) {
  auto file = std::make_shared<const Gguf>(Gguf::open(path));
  const Config config = read_config(*file);
  // Before anything is allocated by the config's numbers: the file must hold the largest tensors.
  take(*file, "token_embd.weight", {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16},
       {config.vocabulary, config.hidden});
  file->get_tensor(fmt::format("blk.{}.ffn_down.weight", config.layers - 1));

  Model model(config);
  Weights& weights = model.weights_;
  size_t used = 0;
  for (const TensorRow& row : model.table_) {
    ++used;
    if (is_packed(config, row)) {
      ++used;
      take_packed(*file, row, config.weights,
                  weights.layers[static_cast<size_t>(row.layer)][row.projection]);
      continue;
    }
    const bool norm = row.role == TensorRole::kNorm;
    const GgufTensor& tensor =
        norm ? take(*file, row.gguf_name, {GgmlType::kF32}, row.shape)
             : take(*file, row.gguf_name, {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16},
                    row.shape);
    check_finite(*file, tensor);
    point_at(weights, row, tensor.data.data(), dtype_of(tensor.type));
  }
  if (used != file->tensors().size()) {
    bad_input("{}: it has {} tensors; the model that it describes has {}", path.string(),
              file->tensors().size(), used);
  }
  model.mapping_ = std::move(file);
  return model;
}

void write_gguf_model(const Path& path, const Model& model, const Tokenizer* tokenizer,
                      const GgufOptions& options) {
  const Weights& weights = model.weights();
  const Config& config = model.config();
  GgufWriter writer;
  writer.set("general.architecture", std::string(kArchitecture));
  if (!options.name.empty()) writer.set("general.name", options.name);
  if (!options.description.empty()) writer.set("general.description", options.description);
  if (!options.license.empty()) writer.set("general.license", options.license);
  writer.set("general.quantization_version", uint32_t{2});
  write_config(writer, config);
  if (tokenizer != nullptr) write_tokenizer(writer, *tokenizer);

  TensorList tensors(writer);
  for (const TensorRow& row : model.table()) {
    if (is_packed(config, row)) {
      const Linear& linear = weights.layers[static_cast<size_t>(row.layer)][row.projection];
      const int64_t row_bytes = packed_row_bytes(linear.inputs);
      tensors.add(row.gguf_name, GgmlType::kI8, {linear.outputs, row_bytes}, linear.packed,
                  static_cast<size_t>(linear.outputs * row_bytes));
      tensors.add(scale_name(row), GgmlType::kF32, {1}, &linear.scale, sizeof linear.scale);
      continue;
    }
    const auto [data, type] = stored_at(weights, row);
    DType target = DType::kF32;
    if (row.role == TensorRole::kProjection) target = options.linears;
    if (row.role == TensorRole::kEmbedding || row.role == TensorRole::kHead)
      target = options.embeddings;
    tensors.add_float(row.gguf_name, row.shape, data, type, target);
  }
  writer.write(path);
}

std::optional<Tokenizer> open_tokenizer(const Path& path) {
  if (std::filesystem::is_directory(path)) {
    if (!has_tokenizer(path)) return std::nullopt;
    return Tokenizer::load(path);
  }
  const Gguf file = Gguf::open(path);
  if (!file.has("tokenizer.ggml.model")) return std::nullopt;
  return read_tokenizer(file);
}

}  // namespace trit
