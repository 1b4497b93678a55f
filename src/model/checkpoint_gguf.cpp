// Models from GGUF files.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "model/gguf_config.h"
#include "model/model_files.h"
#include "quant/packing.h"
#include "text/tokenizer_gguf.h"

namespace trit {
namespace {

// A file being opened.
struct Source {
  const Gguf& file;
  const GgufModel& gguf;
  std::map<std::string, float> exact_scales = {};  // by tensor, where the file has them
  std::string where(const std::string& tensor) const {
    return fmt::format("{}: {}", file.path().string(), tensor);
  }
  const GgufTensor& get(const std::string& name, const Shape& shape) const {
    const GgufTensor& tensor = file.get_tensor(name);
    if (tensor.shape != shape) {
      bad_input("{} has shape {}; the model needs {}", where(name), to_string(tensor.shape),
                to_string(shape));
    }
    return tensor;
  }
};

std::optional<DType> float_type(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return DType::kF32;
    case GgmlType::kF16:
      return DType::kF16;
    case GgmlType::kBF16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

std::span<const uint8_t> bytes_of(const GgufTensor& tensor) {
  return {reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size()};
}

// The row of a q or k matrix of arch llama where row `r` of the original stands: llama.cpp's converter
// brings the halves [2][D / 2] of every head into pairs [D / 2][2].
int64_t permuted_row(int64_t r, int64_t head_dim) {
  const int64_t head = r / head_dim, i = r % head_dim, half = head_dim / 2;
  return head * head_dim + i % half * 2 + i / half;
}

bool is_permuted(const Source& source, const TensorRow& row) {
  return source.gguf.permuted_qk && row.role == TensorRole::kProjection &&
         (row.projection == Projection::kQ || row.projection == Projection::kK);
}

// `rows` of equal size, each fetched from its permuted place.
template <class T>
void unpermute(const T* from, int64_t rows, int64_t size, int64_t head_dim, T* to) {
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(from + permuted_row(r, head_dim) * size, size, to + r * size);
}

[[noreturn]] void refuse_type(const Source& source, const GgufTensor& tensor) {
  bad_input("{} has type {}, which does not belong there", source.where(tensor.name),
            to_string(tensor.type));
}

void load_float(const Source& source, ModelBuilder& builder, size_t index) {
  const TensorRow& row = builder.table()[index];
  const GgufTensor& tensor = source.get(row.gguf_name, row.shape);
  const std::string where = source.where(row.gguf_name);
  const std::optional<DType> type = float_type(tensor.type);
  const PackedLayout* layout = packed_layout(tensor.type);
  const bool norm = row.role == TensorRole::kNorm;
  if (norm && tensor.type != GgmlType::kF32) refuse_type(source, tensor);
  if (type && !is_permuted(source, row))
    return builder.set_float(index, {*type, tensor.shape, tensor.data.data()}, where);
  if (!type && (norm || layout == nullptr)) refuse_type(source, tensor);
  const int64_t columns = row.shape[1];
  if (is_permuted(source, row)) {
    const int64_t size = std::ssize(tensor.data) / row.shape[0];
    Buffer<std::byte> ordered(tensor.data.size());
    unpermute(tensor.data.data(), row.shape[0], size, builder.config().head_dim, ordered.data());
    if (type) return builder.set_float(index, *type, std::move(ordered), where);
    return builder.set_blocks(index, *layout, std::move(ordered), where);
  }
  if (!layout->ternary()) return builder.set_blocks(index, *layout, bytes_of(tensor), where);
  // Embeddings in ternary blocks (Bonsai): as floats, which hold level * fp16 scale exactly.
  Buffer<std::byte> values(static_cast<size_t>(row.count()) * sizeof(float));
  decode_weights(*layout, bytes_of(tensor), row.shape[0], columns,
                 {reinterpret_cast<float*>(values.data()), static_cast<size_t>(row.count())},
                 where);
  builder.set_float(index, DType::kF32, std::move(values), where);
}

// trit's own form: runs as it lies in the file.
void load_canonical(const Source& source, ModelBuilder& builder, size_t index) {
  const TensorRow& row = builder.table()[index];
  const Linear& layer = builder.linear(index);
  const GgufTensor& tensor =
      source.get(row.gguf_name, {layer.outputs, packed_row_bytes(layer.inputs)});
  if (tensor.type != GgmlType::kI8) refuse_type(source, tensor);
  const bool one = layer.input_kind == InputKind::kInt8;
  const GgufTensor& scale =
      source.get(gguf_scale_name(row), one ? Shape{1} : Shape{layer.outputs, runs(layer.inputs)});
  if (scale.type != GgmlType::kF32) refuse_type(source, scale);
  const auto* values = reinterpret_cast<const float*>(scale.data.data());
  const std::string where = source.where(tensor.name), scale_where = source.where(scale.name);
  if (one) {
    builder.set_packed(index, bytes_of(tensor).data(), *values, where, scale_where);
  } else {
    builder.set_packed(index, bytes_of(tensor).data(), values, where, scale_where);
  }
}

// A matrix of levels in row order and its scales, one a block of `block` columns or one in all.
struct Levels {
  Buffer<uint8_t> packed;
  std::vector<float> scales;
  int64_t block;
};

// What multiplies a whole matrix besides the scales of its blocks: an optional tensor of one float.
float matrix_scale(const Source& source, const TensorRow& row) {
  const std::string name = gguf_scale_name(row);
  const GgufTensor* scale = source.file.find_tensor(name);
  if (scale == nullptr) return 1.0f;
  if (scale->type != GgmlType::kF32 || scale->shape != Shape{1}) refuse_type(source, *scale);
  float value = 0;
  std::memcpy(&value, scale->data.data(), sizeof value);
  if (!std::isfinite(value) || value <= 0.0f)
    bad_input("{} is {}; a scale is positive and finite", source.where(name), value);
  return value;
}

Levels read_levels(const Source& source, const TensorRow& row, const Linear& layer,
                   const PackedLayout& layout, const GgufTensor& tensor) {
  const std::string where = source.where(row.gguf_name);
  Levels levels{
      Buffer<uint8_t>(static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs))),
      std::vector<float>(static_cast<size_t>(layout_scales(layout, layer.outputs, layer.inputs))),
      layout.tail > 0 ? layer.inputs : layout.block};
  to_canonical(layout, bytes_of(tensor), layer.outputs, layer.inputs,
               {levels.packed.data(), levels.packed.size()}, levels.scales, where);
  release_pages(tensor.data);  // the copy is what runs
  for (const float scale : levels.scales) {
    if (scale < 0.0f) bad_input("{} has a negative scale, {}", where, scale);
  }
  if (!is_permuted(source, row)) return levels;
  const int64_t head_dim = source.gguf.config.head_dim;
  Levels ordered{Buffer<uint8_t>(levels.packed.size()), levels.scales, levels.block};
  unpermute(levels.packed.data(), layer.outputs, packed_row_bytes(layer.inputs), head_dim,
            ordered.packed.data());
  if (layout.tail == 0) {
    unpermute(levels.scales.data(), layer.outputs, layer.inputs / layout.block, head_dim,
              ordered.scales.data());
  }
  return ordered;
}

// The scale of the blocks that make up columns [first, first + 128) of a row; blocks whose scale is 0 say
// nothing. Smaller blocks than a run must agree in it.
float scale_of_run(const Levels& levels, int64_t row, int64_t first, int64_t columns,
                   std::string_view where) {
  const int64_t per_row = levels.scales.size() == 1 ? 0 : columns / levels.block;
  float scale = 0.0f;
  for (int64_t c = first; c < std::min(first + kRun, columns); c += levels.block) {
    const int64_t block = per_row == 0 ? 0 : row * per_row + c / levels.block;
    const float one = levels.scales[static_cast<size_t>(block)];
    if (scale == 0.0f) scale = one;
    if (one != 0.0f && one != scale) {
      bad_input(
          "{}: row {} column {} begins a block of {} with another scale; trit runs one for {} "
          "weights",
          where, row, c, levels.block, kRun);
    }
  }
  return scale;
}

// The scales by run of 128 that InputKind::kFloat wants.
Buffer<float> scales_of_runs(const Levels& levels, const Linear& layer, std::string_view where) {
  Buffer<float> scales(static_cast<size_t>(layer.outputs * runs(layer.inputs)));
  for (int64_t r = 0; r < layer.outputs; ++r) {
    for (int64_t run = 0; run < runs(layer.inputs); ++run)
      scales[static_cast<size_t>(r * runs(layer.inputs) + run)] =
          scale_of_run(levels, r, run * kRun, layer.inputs, where);
  }
  return scales;
}

// fp16 scales lose bits of a matrix's float32 one; files that trit writes carry them in full under
// kGgufExactScales, in the order of the tensor table.
std::map<std::string, float> read_exact_scales(const Gguf& file, const GgufModel& gguf) {
  std::map<std::string, float> scales;
  if (!file.has(kGgufExactScales)) return scales;
  const std::vector<double> values = file.get_floats(kGgufExactScales);
  for (const TensorRow& row : tensor_table(gguf.config)) {
    if (!is_packed(gguf.config, row)) continue;
    if (scales.size() == values.size()) break;
    scales.emplace(row.gguf_name, static_cast<float>(values[scales.size()]));
  }
  return scales;
}

float exact_scale(const Source& source, const TensorRow& row, float scale) {
  const auto exact = source.exact_scales.find(row.gguf_name);
  if (exact == source.exact_scales.end()) return scale;
  if (f32_to_f16(exact->second) != f32_to_f16(scale)) {
    bad_input("{}: {} has {} for {}, but its blocks have the scale {}", source.file.path().string(),
              kGgufExactScales, exact->second, row.gguf_name, scale);
  }
  return exact->second;
}

void load_ternary(const Source& source, ModelBuilder& builder, size_t index,
                  const PackedLayout& layout, const GgufTensor& tensor) {
  const TensorRow& row = builder.table()[index];
  const Linear& layer = builder.linear(index);
  const std::string where = source.where(row.gguf_name);
  Levels levels = read_levels(source, row, layer, layout, tensor);
  const float whole = matrix_scale(source, row);
  if (layer.input_kind == InputKind::kFloat) {
    for (float& scale : levels.scales) scale *= whole;
    Buffer<float> scales = scales_of_runs(levels, layer, where);
    return builder.set_packed(index, std::move(levels.packed), std::move(scales), where);
  }
  const std::optional<float> scale =
      common_scale(layout, {levels.packed.data(), levels.packed.size()}, levels.scales,
                   layer.outputs, layer.inputs);
  if (!scale) {
    bad_input("{} has blocks of different scales; a BitLinear has one for the whole matrix", where);
  }
  // A matrix of zeros has no scale that matters; any positive one will do.
  const float block = *scale > 0.0f ? exact_scale(source, row, *scale) : kScaleFloor;
  builder.set_packed(index, std::move(levels.packed), block * whole, where);
}

// BitLinear weights that are held as floats: levels times a scale, or masters to be quantised.
void load_bitlinear_floats(const Source& source, ModelBuilder& builder, size_t index,
                           const GgufTensor& tensor) {
  const Linear& layer = builder.linear(index);
  const std::string where = source.where(tensor.name);
  const std::optional<DType> type = float_type(tensor.type);
  if (!type) refuse_type(source, tensor);
  const std::vector<float> weights = TensorView{*type, tensor.shape, tensor.data.data()}.to_f32();
  std::optional<RunLevels> levels = levels_of_runs(weights, layer.outputs, layer.inputs);
  const auto differs = [&](float s) { return s != 0.0f && s != levels->scales[0]; };
  if (!levels || std::ranges::any_of(levels->scales, differs))
    return builder.quantise(index, weights);
  const float scale = levels->scales[0] > 0.0f ? levels->scales[0] : kScaleFloor;
  builder.set_packed(index, std::move(levels->packed),
                     scale * matrix_scale(source, builder.table()[index]), where);
}

void load_row(const Source& source, ModelBuilder& builder, size_t index) {
  const TensorRow& row = builder.table()[index];
  if (!is_packed(builder.config(), row)) return load_float(source, builder, index);
  if (source.gguf.own) return load_canonical(source, builder, index);
  const GgufTensor& tensor = source.get(row.gguf_name, row.shape);
  const PackedLayout* layout = packed_layout(tensor.type);
  if (layout != nullptr && layout->ternary())
    return load_ternary(source, builder, index, *layout, tensor);
  if (!source.gguf.bitnet) refuse_type(source, tensor);
  load_bitlinear_floats(source, builder, index, tensor);
}

std::span<const std::byte> all_data(const Gguf& file) {
  const std::byte *begin = nullptr, *end = nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    if (begin == nullptr || tensor.data.data() < begin) begin = tensor.data.data();
    end = std::max(end, tensor.data.data() + tensor.data.size());
  }
  return {begin, end};
}

// Float tensors one after the other, since checking the largest keeps all threads busy; matrices of levels side by
// side. The check of a tensor reads all of it; what runs where it lies stays in memory, the rest comes back when it
// is read again.
void load_rows(const Source& source, ModelBuilder& builder, OpenFor purpose) {
  const auto load = [&](size_t index) {
    const TensorRow& row = builder.table()[index];
    load_row(source, builder, index);
    // Levels too that nobody has read: their scales lie in the same huge pages.
    if (purpose == OpenFor::kAnything || is_packed(builder.config(), row))
      release_pages(source.file.find_tensor(row.gguf_name)->data);
  };
  std::vector<size_t> levels;
  for (size_t index = 0; index < builder.table().size(); ++index) {
    if (is_packed(builder.config(), builder.table()[index])) {
      levels.push_back(index);
    } else {
      load(index);
    }
  }
  parallel_for(std::ssize(levels), [&](int64_t i) { load(levels[static_cast<size_t>(i)]); });
}

// Every tensor of the file must be one that the forward pass reads, or one known to change nothing.
void refuse_strangers(const Source& source, std::span<const TensorRow> table) {
  std::vector<std::string> known;
  for (const TensorRow& row : table) {
    known.push_back(row.gguf_name);
    if (is_packed(source.gguf.config, row)) known.push_back(gguf_scale_name(row));
  }
  std::ranges::sort(known);
  for (const GgufTensor& tensor : source.file.tensors()) {
    if (!std::ranges::binary_search(known, tensor.name)) {
      bad_input("{}: tensor '{}' has no place in the model that its metadata describe",
                source.file.path().string(), printable(tensor.name));
    }
  }
}

std::string origin_of(const Gguf& file, const GgufModel& gguf) {
  if (gguf.own) return "trit (GGUF)";
  const GgufTensor* first = file.find_tensor("blk.0.attn_q.weight");
  return fmt::format("{} (GGUF {}, {})", gguf.family, file.get_string("general.architecture"),
                     first == nullptr ? "?" : to_string(first->type));
}

}  // namespace

Model open_gguf_model(const Path& path, OpenFor purpose) {
  Gguf file = Gguf::open(path);
  const GgufModel gguf = read_gguf_model(file);
  const Config& config = gguf.config;
  Source source{file, gguf};
  // Before anything is allocated by the config's numbers: the file must hold the largest tensors.
  source.get("token_embd.weight", {config.vocabulary, config.hidden});
  file.get_tensor(fmt::format("blk.{}.ffn_down.weight", config.layers - 1));

  source.exact_scales = read_exact_scales(file, gguf);
  prefer_huge_pages(all_data(file));
  ModelBuilder builder(config, purpose);
  load_rows(source, builder, purpose);
  refuse_strangers(source, builder.table());
  std::string origin = origin_of(file, gguf);
  builder.keep(std::make_shared<const MappedFile>(std::move(file).take_file()));
  return builder.finish(std::move(origin));
}

bool check_tensors(const Path& path) {
  if (std::filesystem::is_directory(path)) return false;
  const Gguf file = Gguf::open(path);
  const std::optional<bool> holds = checksum_holds(file);
  if (holds == false) {
    bad_input("{}: its tensors do not have the checksum {} that it says; the file is damaged",
              path.string(), file.get_uint(kGgufChecksumKey));
  }
  return holds.has_value();
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
