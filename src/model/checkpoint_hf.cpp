// Hugging Face directories: config.json, model.safetensors, tokenizer files.

#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/safetensors.h"
#include "model/hf_config.h"
#include "model/model_files.h"
#include "quant/packing.h"

namespace trit {
namespace {

// Every tensor of the file must be one that the forward pass reads, or one known to change nothing.
void refuse_strangers(const Safetensors& file, const HfModel& hf, std::span<const TensorRow> table,
                      const Path& path) {
  std::vector<std::string> known;
  for (const TensorRow& row : table) {
    known.push_back(hf_name(hf, row));
    if (is_packed(hf.config, row)) known.push_back(hf_scale_name(known.back()));
  }
  if (hf.config.tied) known.push_back("lm_head.weight");
  for (const UnitNorm& norm : unit_norms(hf.config, table)) {
    known.push_back(norm.name);
    const TensorView* tensor = file.find(norm.name);
    if (tensor == nullptr) continue;
    for (const float gain : tensor->to_f32()) {
      if (gain != 1.0f)
        bad_input("{}: {} has a gain of {}; this form has ones there", path.string(), norm.name,
                  gain);
    }
  }
  std::ranges::sort(known);
  for (const std::string& name : file.names()) {
    const bool buffer =
        name.ends_with(".rotary_emb.inv_freq");  // older files store it; it is computed
    if (!buffer && !std::ranges::binary_search(known, name)) {
      bad_input("{}: tensor '{}' has no place in the model that config.json describes",
                path.string(), printable(name));
    }
  }
}

// A directory being opened.
struct Source {
  const Path& path;
  const HfModel& hf;
  const Safetensors& file;
  std::string where(const std::string& name) const {
    return fmt::format("{}: {}", path.string(), name);
  }
};

void require_shape(const Source& source, const std::string& name, const TensorView& tensor,
                   const Shape& shape) {
  if (tensor.shape != shape) {
    bad_input("{}: {} has shape {}; config.json asks for {}", source.path.string(), name,
              to_string(tensor.shape), to_string(shape));
  }
}

std::vector<float> masters_of(const Source& source, const std::string& name,
                              const TensorView& tensor, const Shape& shape) {
  require_shape(source, name, tensor, shape);
  if (tensor.type != DType::kF32 && tensor.type != DType::kF16 && tensor.type != DType::kBF16) {
    bad_input("{}: {} has type {}; masters are F32, F16 or BF16", source.path.string(), name,
              dtype_name(tensor.type));
  }
  std::vector<float> values = tensor.to_f32();
  const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    bad_input("{}: {} has {} at element {}; weights must be finite", source.path.string(), name,
              *bad, bad - values.begin());
  }
  return values;
}

// The factor that multiplies the levels, from weight_scale.
float packed_scale(const Source& source, const std::string& name) {
  const std::string field = hf_scale_name(name);
  const TensorView& tensor = source.file.get(field);
  if (tensor.count() != 1 ||
      (tensor.type != DType::kF32 && tensor.type != DType::kF16 && tensor.type != DType::kBF16)) {
    bad_input("{}: {} is {} {}; it must be one float", source.path.string(), field,
              dtype_name(tensor.type), to_string(tensor.shape));
  }
  const float value = tensor.to_f32()[0];
  if (!std::isfinite(value) || value <= 0.0f) {
    bad_input("{}: {} is {}; it must be positive and finite", source.path.string(), field, value);
  }
  return source.hf.scale == HfScale::kMultiplies ? value : 1.0f / value;
}

void load_packed(const Source& source, const std::string& name, const TensorView& tensor,
                 ModelBuilder& builder, size_t row) {
  const Linear& layer = builder.linear(row);
  const int64_t quarter = (layer.outputs + 3) / 4;
  require_shape(source, name, tensor, {quarter, layer.inputs});
  if (source.hf.stored == HfStored::kMasters) {
    bad_input("{}: {} is packed (U8), but config.json says quantization_mode 'online'",
              source.path.string(), name);
  }
  Buffer<uint8_t> packed(static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs)));
  hf_to_canonical({reinterpret_cast<const uint8_t*>(tensor.data), tensor.bytes()}, layer.outputs,
                  layer.inputs, {packed.data(), packed.size()}, source.where(name));
  release_pages({tensor.data, tensor.bytes()});  // the copy is what runs
  builder.set_packed(row, std::move(packed), packed_scale(source, name), source.where(name));
}

void load_projection(const Source& source, const std::string& name, ModelBuilder& builder,
                     size_t row) {
  const TensorView& tensor = source.file.get(name);
  if (tensor.type == DType::kU8) return load_packed(source, name, tensor, builder, row);
  if (source.hf.stored == HfStored::kPacked) {
    bad_input(
        "{}: {} has type {}, but config.json says packed weights (quantization_mode "
        "'offline'), which are U8",
        source.path.string(), name, dtype_name(tensor.type));
  }
  const std::vector<float> weights = masters_of(source, name, tensor, builder.table()[row].shape);
  if (builder.config().inputs == InputKind::kInt8) return builder.quantise(row, weights);
  const Linear& layer = builder.linear(row);
  std::optional<RunLevels> levels = levels_of_runs(weights, layer.outputs, layer.inputs);
  if (!levels) {
    bad_input("{}: {} has values that are no level times the scale of its run of 128 inputs",
              source.path.string(), name);
  }
  builder.set_packed(row, std::move(levels->packed), std::move(levels->scales), source.where(name));
}

void load_row(const Source& source, ModelBuilder& builder, size_t row) {
  const std::string name = hf_name(source.hf, builder.table()[row]);
  if (is_packed(builder.config(), builder.table()[row])) {
    load_projection(source, name, builder, row);
  } else {
    const TensorView tensor = source.file.get(name);
    builder.set_float(row, tensor, source.where(name));
    release_pages(
        {tensor.data, tensor.bytes()});  // the check read them; they come back when read again
  }
}

// Plain float projections that are all level * scale in every run of 128 inputs: a ternary model with float
// activations (TriLM, Ternary-Bonsai), though its config.json calls it a LLaMA or a Qwen3.
bool holds_levels(const Source& source) {
  if (!source.hf.may_be_levels) return false;
  std::atomic<bool> levels = true;
  const std::vector<TensorRow> table = tensor_table(source.hf.config);
  const auto look = [&](const TensorRow& row, int64_t rows) {
    const TensorView& tensor = source.file.get(hf_name(source.hf, row));
    if (tensor.shape != row.shape || dtype_size(tensor.type) > 4) return false;
    const TensorView part{tensor.type, {rows, row.shape[1]}, tensor.data};
    return levels_of_runs(part.to_f32(), rows, row.shape[1]).has_value();
  };
  std::vector<const TensorRow*> projections;
  for (const TensorRow& row : table) {
    if (row.role == TensorRole::kProjection) projections.push_back(&row);
  }
  if (!look(*projections.front(), 1)) return false;  // the usual case, told by one row
  parallel_for(std::ssize(projections), [&](int64_t i) {
    const TensorRow& row = *projections[static_cast<size_t>(i)];
    if (levels && !look(row, row.shape[0])) levels = false;
  });
  return levels;
}

std::string origin_of(const HfModel& hf) {
  const Config& c = hf.config;
  const std::string_view stored = c.inputs == InputKind::kFloat     ? "ternary, float activations"
                                  : hf.stored == HfStored::kPacked  ? "packed"
                                  : c.weights == WeightKind::kFloat ? "full precision"
                                                                    : "quantised at load";
  return fmt::format("{} (Hugging Face, {})", hf.family, stored);
}

}  // namespace

Model open_hf_model(const Path& directory) {
  HfModel hf = read_hf_model(directory / "config.json");
  auto file = std::make_shared<const Safetensors>(Safetensors::open(directory));
  const Source source{directory, hf, *file};
  refuse_strangers(*file, hf, tensor_table(hf.config), directory);
  if (holds_levels(source)) {
    hf.config.weights = WeightKind::kTernary;
    hf.config.inputs = InputKind::kFloat;
  }
  ModelBuilder builder(hf.config);
  parallel_for(std::ssize(builder.table()),
               [&](int64_t row) { load_row(source, builder, static_cast<size_t>(row)); });
  builder.keep(std::move(file));
  if (hf.stored == HfStored::kUnsaid && hf.config.weights == WeightKind::kTernary) {
    const TensorView* first = source.file.find("model.layers.0.self_attn.q_proj.weight");
    if (first != nullptr && first->type == DType::kU8) hf.stored = HfStored::kPacked;
  }
  return builder.finish(origin_of(hf));
}

Model Model::open_masters(const Path& directory) {
  const HfModel hf = read_hf_model(directory / "config.json");
  if (hf.config.inputs == InputKind::kFloat) {
    bad_input("{}: ternary weights with float activations cannot be trained", directory.string());
  }
  Model model(hf.config);
  const Safetensors file = Safetensors::open(directory);
  const Source source{directory, hf, file};
  refuse_strangers(file, hf, model.table(), directory);
  // Before memory is taken by the config's numbers: the file must hold tensors of these shapes.
  for (const TensorRow& row : model.table_)
    require_shape(source, hf_name(hf, row), file.get(hf_name(hf, row)), row.shape);
  model.allocate_masters();
  for (const TensorRow& row : model.table_) {
    const std::string name = hf_name(hf, row);
    std::ranges::copy(masters_of(source, name, file.get(name), row.shape),
                      model.masters_.data() + row.offset);
  }
  model.quantise();
  model.origin_ = origin_of(hf);
  return model;
}

}  // namespace trit
