// Models to GGUF files.

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "model/checkpoint.h"
#include "model/gguf_config.h"
#include "quant/packing.h"
#include "text/tokenizer_gguf.h"

namespace trit {
namespace {

struct FloatRow {
  FloatForm form;
  std::string_view name;
  GgmlType type;
  DType dtype;
  const PackedLayout* layout;
};
constexpr FloatRow kFloatForms[] = {
    {FloatForm::kF32, "f32", GgmlType::kF32, DType::kF32, nullptr},
    {FloatForm::kF16, "f16", GgmlType::kF16, DType::kF16, nullptr},
    {FloatForm::kBF16, "bf16", GgmlType::kBF16, DType::kBF16, nullptr},
    {FloatForm::kQ8_0, "q8_0", GgmlType::kQ8_0, DType::kF32, &kQ8_0},
    {FloatForm::kQ6_K, "q6_k", GgmlType::kQ6_K, DType::kF32, &kQ6_K},
    {FloatForm::kQ4_0, "q4_0", GgmlType::kQ4_0, DType::kF32, &kQ4_0},
    {FloatForm::kQ4_K, "q4_k", GgmlType::kQ4_K, DType::kF32, &kQ4_K},
};

struct PackedRow {
  GgufForm form;
  std::string_view name;
  GgmlType type;
  const PackedLayout* layout;
  uint32_t file_type;  // general.file_type of llama.cpp and Microsoft's fork
};
constexpr PackedRow kPackedForms[] = {
    {GgufForm::kTrit, "trit", GgmlType::kI8, nullptr, 0},
    {GgufForm::kTQ1_0, "tq1_0", GgmlType::kTQ1_0, &kTQ1_0, 36},
    {GgufForm::kTQ2_0, "tq2_0", GgmlType::kTQ2_0, &kTQ2_0, 37},
    {GgufForm::kI2_S, "i2_s", GgmlType::kI2_S, &kI2_S, 40},
};
const PackedRow& packed_row(GgufForm form) { return kPackedForms[static_cast<size_t>(form)]; }

GgmlType stored_type(const StoredMatrix& stored) {
  for (const FloatRow& row : kFloatForms) {
    if (stored.layout == row.layout && (row.layout != nullptr || stored.type == row.dtype))
      return row.type;
  }
  TRIT_CHECK(false);
  return GgmlType::kF32;
}

// Writes one model.
class Writer {
 public:
  Writer(const Model& model, const GgufOptions& options)
      : model_(model), options_(options), form_(packed_row(options.form)) {}

  void write(const Path& path, const Tokenizer* tokenizer) {
    write_metadata(tokenizer);
    for (const TensorRow& row : model_.table()) {
      if (!is_packed(model_.config(), row)) {
        add_float(row);
      } else if (form_.layout == nullptr) {
        add_canonical(row);
      } else {
        add_packed(row);
      }
    }
    if (!exact_.empty()) file_.set(kGgufExactScales, GgufArray(exact_));
    file_.write(path);
  }

 private:
  void write_metadata(const Tokenizer* tokenizer) {
    const Config& config = model_.config();
    if (options_.form == GgufForm::kTrit) {
      write_own_config(file_, config);
    } else {
      architecture_ = foreign_architecture(config);
      write_foreign_config(file_, config, form_.file_type);
    }
    if (!options_.name.empty()) file_.set("general.name", options_.name);
    if (!options_.description.empty()) file_.set("general.description", options_.description);
    if (!options_.license.empty()) file_.set("general.license", options_.license);
    file_.set("general.quantization_version", uint32_t{2});
    if (tokenizer != nullptr) write_tokenizer(file_, *tokenizer);
    if (!options_.chat_template.empty())
      file_.set("tokenizer.chat_template", options_.chat_template);
  }

  const Linear& linear(const TensorRow& row) const {
    return model_.weights().layers[static_cast<size_t>(row.layer)][row.projection];
  }

  // Row `r` of the file is this row of the model: arch llama has rotary halves as pairs.
  int64_t source_row(const TensorRow& row, int64_t r) const {
    const bool qk = row.role == TensorRole::kProjection &&
                    (row.projection == Projection::kQ || row.projection == Projection::kK);
    if (architecture_ != "llama" || !qk) return r;
    const int64_t D = model_.config().head_dim, i = r % D;
    return r - i + i % 2 * (D / 2) + i / 2;
  }

  void add_view(const std::string& name, GgmlType type, Shape shape, const void* data,
                int64_t bytes) {
    file_.add_tensor(name, type, std::move(shape),
                     {static_cast<const std::byte*>(data), static_cast<size_t>(bytes)});
  }

  // A float tensor as it is, or rows converted one by one.
  void add_float(const TensorRow& row) {
    const StoredMatrix stored = stored_at(model_.weights(), row);
    FloatForm form = FloatForm::kF32;  // norms
    if (row.role == TensorRole::kProjection) form = options_.linears;
    if (row.role == TensorRole::kEmbedding || row.role == TensorRole::kHead)
      form = options_.embeddings;
    const int64_t columns = row.shape.back(), rows = row.count() / columns;
    const GgmlType from = stored_type(stored);
    const bool keep = form == FloatForm::kAsTheyAre || to_type(form) == from;
    const bool moved = source_row(row, 1) != 1;
    if (keep && !moved)
      return add_view(row.gguf_name, from, row.shape, stored.data,
                      rows * stored.row_bytes(columns));
    const auto* target = keep ? nullptr : &float_row(form);
    file_.add_tensor(row.gguf_name, keep ? from : target->type, row.shape, [=, this] {
      const StoredMatrix out{nullptr, keep ? stored.type : target->dtype,
                             keep ? stored.layout : target->layout};
      const int64_t bytes = out.row_bytes(columns);
      Buffer<std::byte> made(static_cast<size_t>(rows * bytes));
      parallel_ranges(rows, 64, [&](int64_t begin, int64_t end) {
        std::vector<float> values(static_cast<size_t>(columns));
        for (int64_t r = begin; r < end; ++r) {
          auto* to = reinterpret_cast<uint8_t*>(made.data()) + r * bytes;
          const int64_t source = source_row(row, r);
          if (keep) {
            std::copy_n(stored.row(source, columns), bytes, to);
            continue;
          }
          stored.read_row(source, columns, values.data());
          if (target->layout == nullptr) {
            from_f32(target->dtype, values.data(), values.size(), to);
          } else {
            encode_weights(*target->layout, values, 1, columns, {to, static_cast<size_t>(bytes)},
                           row.gguf_name);
          }
        }
      });
      return made;
    });
  }

  static const FloatRow& float_row(FloatForm form) {
    return kFloatForms[static_cast<size_t>(form) - 1];
  }
  static GgmlType to_type(FloatForm form) { return float_row(form).type; }

  void add_canonical(const TensorRow& row) {
    const Linear& layer = linear(row);
    const int64_t row_bytes = packed_row_bytes(layer.inputs);
    add_view(row.gguf_name, GgmlType::kI8, {layer.outputs, row_bytes}, layer.packed,
             layer.outputs * row_bytes);
    const std::string scale = gguf_scale_name(row);
    if (layer.input_kind == InputKind::kInt8)
      return add_view(scale, GgmlType::kF32, {1}, &layer.scale, sizeof layer.scale);
    const Shape shape = {layer.outputs, runs(layer.inputs)};
    add_view(scale, GgmlType::kF32, shape, layer.run_scales, element_count(shape) * 4);
  }

  // The scales of the layout's blocks. Where a block's fp16 cannot say a matrix's scale it says 1 and a
  // tensor of its own has the scale (the bitnet architectures), or the metadata have it.
  std::vector<float> block_scales(const TensorRow& row, const Linear& layer) {
    const PackedLayout& layout = *form_.layout;
    std::vector<float> scales(
        static_cast<size_t>(layout_scales(layout, layer.outputs, layer.inputs)), layer.scale);
    if (layer.input_kind == InputKind::kFloat) return float_block_scales(row, layer);
    if (layout.tail > 0) return scales;
    if (architecture_.starts_with("bitnet")) {
      std::ranges::fill(scales, 1.0f);
      add_view(gguf_scale_name(row), GgmlType::kF32, {1}, &layer.scale, sizeof layer.scale);
      return scales;
    }
    if (f16_to_f32(f32_to_f16(layer.scale)) == 0.0f)
      bad_input("{} has the scale {}, too small for fp16; write another form", row.gguf_name,
                layer.scale);
    exact_.push_back(layer.scale);
    return scales;
  }

  std::vector<float> float_block_scales(const TensorRow& row, const Linear& layer) const {
    const PackedLayout& layout = *form_.layout;
    if (layout.tail > 0) bad_input("{}: I2_S has one scale; this matrix has more", row.gguf_name);
    const int64_t per_block = layout.block / kRun, blocks = layer.inputs / layout.block;
    std::vector<float> scales;
    for (int64_t r = 0; r < layer.outputs; ++r) {
      for (int64_t b = 0; b < blocks; ++b) {
        const float* first = layer.run_scales + r * runs(layer.inputs) + b * per_block;
        const float scale = *std::max_element(first, first + per_block);
        const bool one =
            std::all_of(first, first + per_block, [&](float s) { return s == scale || s == 0.0f; });
        if (!one || f16_to_f32(f32_to_f16(scale)) != scale) {
          bad_input(
              "{}: row {} has scales that a block of {} does not hold exactly; write another "
              "form",
              row.gguf_name, r, layout.name);
        }
        scales.push_back(scale);
      }
    }
    return scales;
  }

  void add_packed(const TensorRow& row) {
    const Linear& layer = linear(row);
    const PackedLayout& layout = *form_.layout;
    const int64_t bytes = layout_bytes(layout, layer.outputs, layer.inputs, row.gguf_name);
    file_.add_tensor(row.gguf_name, form_.type, row.shape,
                     [=, this, &layout, scales = block_scales(row, layer)] {
                       Buffer<std::byte> made(static_cast<size_t>(bytes));
                       const std::vector<uint8_t> ordered = ordered_levels(row, layer);
                       from_canonical(layout, ordered, ordered_scales(row, layer, scales),
                                      layer.outputs, layer.inputs,
                                      {reinterpret_cast<uint8_t*>(made.data()), made.size()},
                                      row.gguf_name);
                       return made;
                     });
  }

  std::vector<uint8_t> ordered_levels(const TensorRow& row, const Linear& layer) const {
    const int64_t bytes = packed_row_bytes(layer.inputs);
    std::vector<uint8_t> ordered(static_cast<size_t>(layer.outputs * bytes));
    for (int64_t r = 0; r < layer.outputs; ++r)
      std::copy_n(layer.packed + source_row(row, r) * bytes, bytes, ordered.data() + r * bytes);
    return ordered;
  }

  std::vector<float> ordered_scales(const TensorRow& row, const Linear& layer,
                                    const std::vector<float>& scales) const {
    const int64_t per_row = std::ssize(scales) / layer.outputs;
    if (per_row == 0) return scales;  // one for all
    std::vector<float> ordered(scales.size());
    for (int64_t r = 0; r < layer.outputs; ++r)
      std::copy_n(scales.data() + source_row(row, r) * per_row, per_row,
                  ordered.data() + r * per_row);
    return ordered;
  }

  const Model& model_;
  const GgufOptions& options_;
  const PackedRow& form_;
  std::string_view architecture_ = "trit";
  GgufWriter file_;
  std::vector<float> exact_;
};

}  // namespace

std::string_view to_string(FloatForm form) {
  if (form == FloatForm::kAsTheyAre) return "keep";
  return kFloatForms[static_cast<size_t>(form) - 1].name;
}

std::string_view to_string(GgufForm form) { return packed_row(form).name; }

void write_gguf_model(const Path& path, const Model& model, const Tokenizer* tokenizer,
                      const GgufOptions& options) {
  Writer(model, options).write(path, tokenizer);
}

}  // namespace trit
