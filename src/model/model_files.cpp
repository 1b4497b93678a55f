#include "model/model_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "quant/packing.h"

namespace trit {
namespace {

// NaN and infinity have all exponent bits set. Signed, and the largest rather than a comparison each: that is
// two instructions for a register of them.
template <class Bits>
bool all_finite(const std::byte* data, int64_t count, Bits exponent) {
  Bits largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data + i * static_cast<int64_t>(sizeof bits), sizeof bits);
    largest = std::max(largest, static_cast<Bits>(bits & exponent));
  }
  return largest != exponent;
}

bool all_finite(DType type, const std::byte* data, int64_t count) {
  if (type == DType::kF32) return all_finite<int32_t>(data, count, 0x7F800000);
  return all_finite<int16_t>(data, count, type == DType::kF16 ? 0x7C00 : 0x7F80);
}

void check_finite(const TensorView& tensor, std::string_view where) {
  constexpr int64_t kPiece = 65536;
  const int64_t size = static_cast<int64_t>(dtype_size(tensor.type));
  parallel_ranges(tensor.count(), kPiece, [&](int64_t begin, int64_t end) {
    const std::byte* data = tensor.data + begin * size;
    if (all_finite(tensor.type, data, end - begin)) return;
    std::vector<float> values(static_cast<size_t>(end - begin));
    to_f32(tensor.type, data, values.size(), values.data());
    const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
    bad_input("{} has {} at element {}; weights must be finite", where, *bad,
              begin + (bad - values.begin()));
  });
}

bool aligned(const std::byte* data, DType type) {
  return reinterpret_cast<uintptr_t>(data) % dtype_size(type) == 0;
}

}  // namespace

Linear& ModelBuilder::linear(size_t row) {
  const TensorRow& r = model_.table_[row];
  TRIT_CHECK(r.role == TensorRole::kProjection);
  return model_.weights_.layers[static_cast<size_t>(r.layer)][r.projection];
}

void ModelBuilder::set_float(size_t row, const TensorView& tensor, std::string_view where) {
  const TensorRow& r = model_.table_[row];
  if (tensor.shape != r.shape) {
    bad_input("{} has shape {}; the model needs {}", where, to_string(tensor.shape),
              to_string(r.shape));
  }
  const DType type = tensor.type;
  if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16) {
    bad_input("{} has type {}; trit runs F32, F16 and BF16", where, dtype_name(type));
  }
  check_finite(tensor, where);
  if (r.role == TensorRole::kNorm) {
    Buffer<float>& gains = model_.floats_[row] = Buffer<float>(static_cast<size_t>(r.count()));
    to_f32(type, tensor.data, gains.size(), gains.data());
    point_at(model_.weights_, r, {gains.data(), DType::kF32});
  } else if (aligned(tensor.data, type)) {
    point_at(model_.weights_, r, {tensor.data, type});
  } else {
    Buffer<std::byte> copy(tensor.bytes());
    std::memcpy(copy.data(), tensor.data, copy.size());
    set_float(row, type, std::move(copy), where);
  }
}

void ModelBuilder::set_float(size_t row, DType type, Buffer<std::byte> values,
                             std::string_view where) {
  const Buffer<std::byte>& kept = model_.dense_[row] = std::move(values);
  set_float(row, {type, model_.table_[row].shape, kept.data()}, where);
}

void ModelBuilder::set_blocks(size_t row, const PackedLayout& layout,
                              std::span<const uint8_t> bytes, std::string_view where) {
  const TensorRow& r = model_.table_[row];
  TRIT_CHECK(r.shape.size() == 2 && layout.decode != nullptr);
  const int64_t blocks = r.shape[1] / layout.block, stride = blocks * layout.bytes;
  TRIT_CHECK(static_cast<int64_t>(bytes.size()) == r.shape[0] * stride);
  constexpr int64_t kRowsOfAPiece = 64;
  parallel_ranges(layout.check == nullptr ? 0 : r.shape[0], kRowsOfAPiece,
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      if (const auto fault = layout.check(bytes.data() + i * stride, blocks))
                        bad_input("{}: row {} column {}: {}", where, i, fault->column, fault->what);
                    }
                  });
  point_at(model_.weights_, r, {bytes.data(), DType::kF32, &layout});
}

void ModelBuilder::set_blocks(size_t row, const PackedLayout& layout, Buffer<std::byte> bytes,
                              std::string_view where) {
  const Buffer<std::byte>& kept = model_.dense_[row] = std::move(bytes);
  set_blocks(row, layout, {reinterpret_cast<const uint8_t*>(kept.data()), kept.size()}, where);
}

void ModelBuilder::check_levels(size_t row, std::string_view where) {
  const Linear& layer = linear(row);
  const std::span packed(layer.packed,
                         static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs)));
  if (!valid_trits(packed, layer.outputs, layer.inputs))
    refuse_levels(where, packed, layer.outputs, layer.inputs);
  if (layer.kind != WeightKind::kBinary) return;
  if (const int64_t zeros = count_trits(packed, layer.outputs, layer.inputs).zero; zeros > 0)
    bad_input("{} has {} zeros; binary weights are -1 or +1", where, zeros);
}

void ModelBuilder::set_packed(size_t row, const uint8_t* packed, float scale,
                              std::string_view where, std::string_view scale_where) {
  Linear& layer = linear(row);
  layer.packed = packed;
  layer.scale = scale;
  const bool of_file = model_.packed_[row].size() == 0;
  if (purpose_ == OpenFor::kRunning && of_file && layer.kind == WeightKind::kTernary) {
    model_.unchecked_[row] = where;
  } else {
    check_levels(row, where);
  }
  if (!std::isfinite(scale) || scale <= 0.0f)
    bad_input("{} is {}; a scale is positive and finite", scale_where, scale);
}

void ModelBuilder::set_packed(size_t row, const uint8_t* packed, const float* run_scales,
                              std::string_view where, std::string_view scale_where) {
  Linear& layer = linear(row);
  layer.packed = packed;
  layer.run_scales = run_scales;
  check_levels(row, where);
  for (int64_t i = 0; i < layer.outputs * runs(layer.inputs); ++i) {
    if (!std::isfinite(run_scales[i]) || run_scales[i] < 0.0f)
      bad_input("{} has {} at element {}; scales are finite and not negative", scale_where,
                run_scales[i], i);
  }
}

void ModelBuilder::set_packed(size_t row, Buffer<uint8_t> packed, float scale,
                              std::string_view where) {
  model_.packed_[row] = std::move(packed);
  set_packed(row, model_.packed_[row].data(), scale, where, fmt::format("{}: its scale", where));
}

void ModelBuilder::set_packed(size_t row, Buffer<uint8_t> packed, Buffer<float> run_scales,
                              std::string_view where) {
  model_.packed_[row] = std::move(packed);
  model_.floats_[row] = std::move(run_scales);
  set_packed(row, model_.packed_[row].data(), model_.floats_[row].data(), where,
             fmt::format("{}: its scales", where));
}

void ModelBuilder::quantise(size_t row, std::span<const float> weights) {
  const Linear& layer = linear(row);
  const std::string& name = model_.table_[row].hf_name;
  const WeightQuantizer quantizer = fit_quantizer(layer.kind, weights, name);
  std::vector<int8_t> levels(weights.size());
  quantize_weights(quantizer, weights, levels);
  Buffer<uint8_t> packed(static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs)));
  pack_trits(levels, layer.outputs, layer.inputs, {packed.data(), packed.size()});
  set_packed(row, std::move(packed), quantizer.scale, name);
}

void refuse_levels(std::string_view where, std::span<const uint8_t> packed, int64_t rows,
                   int64_t columns) {
  bad_input("{} has {} invalid codes; a trit's code is 0, 1 or 2", where,
            count_trits(packed, rows, columns).invalid);
}

Model ModelBuilder::finish(std::string origin) {
  model_.origin_ = std::move(origin);
  return std::move(model_);
}

std::optional<RunLevels> levels_of_runs(std::span<const float> weights, int64_t rows,
                                        int64_t columns) {
  TRIT_CHECK(static_cast<int64_t>(weights.size()) == rows * columns);
  RunLevels result{Buffer<uint8_t>(static_cast<size_t>(rows * packed_row_bytes(columns))),
                   Buffer<float>(static_cast<size_t>(rows * runs(columns)))};
  std::vector<int8_t> levels(weights.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t run = 0; run < runs(columns); ++run) {
      const int64_t begin = r * columns + run * kRun,
                    end = std::min(begin + kRun, (r + 1) * columns);
      float scale = 0.0f;
      for (int64_t i = begin; i < end; ++i) {
        const float w = weights[static_cast<size_t>(i)], size = std::fabs(w);
        if (size != 0.0f && scale == 0.0f) scale = size;
        if (size != 0.0f && size != scale) return std::nullopt;
        levels[static_cast<size_t>(i)] = static_cast<int8_t>((w > 0.0f) - (w < 0.0f));
      }
      result.scales[static_cast<size_t>(r * runs(columns) + run)] = scale;
    }
  }
  pack_trits(levels, rows, columns, {result.packed.data(), result.packed.size()});
  return result;
}

}  // namespace trit
