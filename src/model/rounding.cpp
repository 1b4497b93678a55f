#include "model/rounding.h"

#include "base/error.h"
#include "model/model_files.h"

namespace trit {
namespace {

void round_weights(WeightKind kind, std::span<float> weights, std::string_view name) {
  const WeightQuantizer quantizer = fit_quantizer(kind, weights, name);
  std::vector<int8_t> levels(weights.size());
  quantize_weights(quantizer, weights, levels);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(levels[i]) * quantizer.scale;
}

}  // namespace

Model rounded_model(const Model& model, WeightKind kind) {
  TRIT_CHECK(kind != WeightKind::kFloat);
  if (model.config().weights != WeightKind::kFloat) {
    bad_input("only full-precision weights can be rounded; these are {}",
              to_string(model.config().weights));
  }
  ModelBuilder builder(model.config());
  for (size_t i = 0; i < builder.table().size(); ++i) {
    const TensorRow& row = builder.table()[i];
    const StoredMatrix stored = stored_at(model.weights(), row);
    const int64_t columns = row.shape.back();
    Buffer<std::byte> bytes(static_cast<size_t>(row.count()) * sizeof(float));
    const std::span values(reinterpret_cast<float*>(bytes.data()),
                           static_cast<size_t>(row.count()));
    for (int64_t r = 0; r < row.count() / columns; ++r)
      stored.read_row(r, columns, values.data() + r * columns);
    if (row.role == TensorRole::kProjection) round_weights(kind, values, row.hf_name);
    builder.set_float(i, DType::kF32, std::move(bytes), row.hf_name);
  }
  return builder.finish(fmt::format("{}, rounded to {} weights", model.origin(), to_string(kind)));
}

}  // namespace trit
