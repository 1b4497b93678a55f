// Models to Hugging Face directories.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/hf_config.h"
#include "quant/layouts.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr uint64_t kMaxShardBytes = 4'000'000'000;

std::string_view torch_dtype(DType type) {
  if (type == DType::kF16) return "float16";
  return type == DType::kBF16 ? "bfloat16" : "float32";
}

// Everything of a directory but the tensors.
void write_side_files(const Path& directory, OrderedJson config, const Tokenizer* tokenizer) {
  write_text(directory / "config.json", config.dump(2) + "\n");
  OrderedJson generation = OrderedJson::object();
  if (tokenizer != nullptr) {
    if (tokenizer->bos_id() >= 0) generation["bos_token_id"] = tokenizer->bos_id();
    if (tokenizer->eos_id() >= 0) generation["eos_token_id"] = tokenizer->eos_id();
    tokenizer->save(directory);
  }
  write_text(directory / "generation_config.json", generation.dump(2) + "\n");
}

// Set member by member: g++ 12 sees uninitialised vectors in nested braces.
void add_tensor(std::vector<NamedTensor>& tensors, std::string name, DType type, Shape shape,
                MakeBytes make, const void* data = nullptr) {
  NamedTensor& named = tensors.emplace_back();
  named.name = std::move(name);
  named.tensor.type = type;
  named.tensor.shape = std::move(shape);
  named.tensor.data = static_cast<const std::byte*>(data);
  named.make = std::move(make);
}

void add_unit_norms(const Model& model, std::vector<NamedTensor>& tensors) {
  for (const UnitNorm& norm : unit_norms(model.config(), model.table())) {
    add_tensor(tensors, norm.name, DType::kF32, {norm.size}, [size = norm.size] {
      Buffer<std::byte> bytes(static_cast<size_t>(size) * sizeof(float));
      std::fill_n(reinterpret_cast<float*>(bytes.data()), size, 1.0f);
      return bytes;
    });
  }
}

Buffer<std::byte> bytes_of(DType type, std::span<const float> values) {
  Buffer<std::byte> bytes(values.size() * dtype_size(type));
  from_f32(type, values.data(), values.size(), bytes.data());
  return bytes;
}

// bfloat16 where that loses nothing, else float32.
DType least_type(std::span<const float> values) {
  const auto exact = [](float v) { return bf16_to_f32(f32_to_bf16(v)) == v; };
  return std::ranges::all_of(values, exact) ? DType::kBF16 : DType::kF32;
}

// What stands in the file for a scale that multiplies the levels.
float stored_scale(float scale, HfScale use) {
  if (use == HfScale::kMultiplies) return scale;
  // The reader divides: the value whose reciprocal is the scale, a short one if there is one.
  const float reciprocal = 1.0f / scale;
  if (const float rounded = bf16_to_f32(f32_to_bf16(reciprocal)); 1.0f / rounded == scale)
    return rounded;
  for (const float direction : {0.0f, INFINITY}) {
    const float neighbour = std::nextafter(reciprocal, direction);
    if (1.0f / reciprocal != scale && 1.0f / neighbour == scale) return neighbour;
  }
  return reciprocal;
}

class Exporter {
 public:
  Exporter(const Model& model, HfStored stored) : model_(model), stored_(stored) {
    const Config& c = model.config();
    if (stored == HfStored::k1bitLLM &&
        (c.weights != WeightKind::kTernary || c.inputs != InputKind::kInt8 ||
         c.norms != NormForm::kSub || c.activation != Activation::kSilu || c.qk_norms)) {
      bad_input("1bitLLM's form has ternary weights, sub norms and silu; this model has {}, {}, {}",
                to_string(c.weights), to_string(c.norms), to_string(c.activation));
    }
    if (c.weights == WeightKind::kBinary) {
      bad_input(
          "a Hugging Face directory in transformers' forms holds ternary weights, not binary");
    }
  }

  std::vector<NamedTensor> tensors() {
    for (const TensorRow& row : model_.table()) {
      if (is_packed(model_.config(), row)) {
        add_projection(row);
      } else {
        add_float(row);
      }
    }
    add_unit_norms(model_, tensors_);
    return std::move(tensors_);
  }

 private:
  std::string name_of(const TensorRow& row) const {
    return stored_ == HfStored::k1bitLLM ? hf_name_of_1bitllm(row) : row.hf_name;
  }

  void add_float(const TensorRow& row) {
    const StoredMatrix stored = stored_at(model_.weights(), row);
    if (row.role == TensorRole::kNorm) {
      const std::span values(static_cast<const float*>(stored.data),
                             static_cast<size_t>(row.count()));
      const DType type = least_type(values);
      add_tensor(tensors_, name_of(row), type, row.shape, [=] { return bytes_of(type, values); });
    } else if (stored.layout == nullptr) {
      add_tensor(tensors_, name_of(row), stored.type, row.shape, {}, stored.data);
    } else {
      add_decoded(row, stored);
    }
  }

  // Blocks have no place in safetensors: as float32, which holds them exactly.
  void add_decoded(const TensorRow& row, const StoredMatrix& stored) {
    add_tensor(tensors_, name_of(row), DType::kF32, row.shape, [=] {
      Buffer<std::byte> bytes(static_cast<size_t>(row.count()) * sizeof(float));
      auto* values = reinterpret_cast<float*>(bytes.data());
      for (int64_t r = 0; r < row.shape[0]; ++r)
        stored.read_row(r, row.shape[1], values + r * row.shape[1]);
      return bytes;
    });
  }

  void add_projection(const TensorRow& row) {
    const Linear& layer = model_.weights().layers[static_cast<size_t>(row.layer)][row.projection];
    if (layer.input_kind == InputKind::kFloat) return add_levels(row, layer);
    if (stored_ != HfStored::kPacked) return add_masters(row, layer);
    const Shape shape = {hf_packed_rows(layer.outputs), layer.inputs};
    add_tensor(tensors_, name_of(row), DType::kU8, shape, [&layer, shape] {
      Buffer<std::byte> bytes(static_cast<size_t>(element_count(shape)));
      hf_from_canonical(packed_bytes(layer), layer.outputs, layer.inputs,
                        {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
      return bytes;
    });
    const float scale = stored_scale(layer.scale, hf_scale(model_.config()));
    const DType type = least_type({&scale, 1});
    add_tensor(tensors_, hf_scale_name(name_of(row)), type, {1}, [=] {
      return bytes_of(type, {&scale, 1});
    });
  }

  static std::span<const uint8_t> packed_bytes(const Linear& layer) {
    return {layer.packed, static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs))};
  }

  void add_masters(const TensorRow& row, const Linear& layer) {
    add_tensor(tensors_, name_of(row), DType::kBF16, row.shape, [&layer] {
      Buffer<std::byte> bytes(static_cast<size_t>(layer.outputs * layer.inputs) * 2);
      masters_of_levels(packed_bytes(layer), layer.outputs, layer.inputs, layer.scale,
                        reinterpret_cast<uint16_t*>(bytes.data()));
      return bytes;
    });
  }

  // level * scale of its run, in float16 if that is exact.
  void add_levels(const TensorRow& row, const Linear& layer) {
    const std::span scales(layer.run_scales,
                           static_cast<size_t>(layer.outputs * runs(layer.inputs)));
    const auto exact = [](float v) { return f16_to_f32(f32_to_f16(v)) == v; };
    const DType type = std::ranges::all_of(scales, exact) ? DType::kF16 : DType::kF32;
    add_tensor(tensors_, name_of(row), type, row.shape, [&layer, type] {
      const int64_t K = layer.inputs;
      std::vector<float> values(static_cast<size_t>(layer.outputs * K));
      dequantize_trits(packed_bytes(layer), layer.outputs, K, 1.0f, values.data());
      for (int64_t r = 0; r < layer.outputs; ++r) {
        for (int64_t c = 0; c < K; ++c)
          values[static_cast<size_t>(r * K + c)] *= layer.run_scales[r * runs(K) + c / kRun];
      }
      return bytes_of(type, values);
    });
  }

  const Model& model_;
  HfStored stored_;
  std::vector<NamedTensor> tensors_;
};

}  // namespace

void write_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer) {
  TRIT_CHECK(!model.masters().empty());
  std::vector<NamedTensor> tensors;
  for (const TensorRow& row : model.table()) {
    const float* master = model.masters().data() + row.offset;
    add_tensor(tensors, row.hf_name, DType::kF32, row.shape, {}, master);
  }
  add_unit_norms(model, tensors);
  write_safetensors_sharded(directory, tensors, kMaxShardBytes);
  write_side_files(directory, hf_config(model.config(), tokenizer, HfStored::kMasters), tokenizer);
}

void export_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer,
                     HfStored stored) {
  TRIT_CHECK(stored != HfStored::kUnsaid);
  const std::vector<NamedTensor> tensors = Exporter(model, stored).tensors();
  write_safetensors_sharded(directory, tensors, kMaxShardBytes);
  OrderedJson config = hf_config(model.config(), tokenizer, stored);
  const StoredMatrix& embedding = model.weights().embedding;
  config["torch_dtype"] = torch_dtype(embedding.layout == nullptr ? embedding.type : DType::kF32);
  write_side_files(directory, std::move(config), tokenizer);
}

}  // namespace trit
