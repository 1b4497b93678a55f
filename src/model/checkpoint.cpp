#include "model/checkpoint.h"

#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "kernels/kernels.h"
#include "model/kernel_check.h"
#include "model/model_files.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr float kInitialDeviation = 0.02f;

// Each tensor draws from a generator of its own, so that they can be filled in parallel.
void initialise(const TensorRow& row, const Config& config, uint64_t seed, float* out) {
  if (row.role == TensorRole::kNorm) {
    std::fill_n(out, row.count(), 1.0f);
    return;
  }
  float deviation = kInitialDeviation;
  const bool into_residual =
      row.projection == Projection::kO || row.projection == Projection::kDown;
  if (row.role == TensorRole::kProjection && into_residual) {
    deviation /= std::sqrt(2.0f * static_cast<float>(config.layers));
  }
  Rng rng(splitmix64(seed) + static_cast<uint64_t>(row.offset));
  for (int64_t i = 0; i < row.count(); ++i) out[i] = deviation * rng.normal();
}

}  // namespace

Model::Model(const Config& config)
    : weights_(empty_weights(config)),
      table_(tensor_table(config)),
      packed_(table_.size()),
      floats_(table_.size()),
      dense_(table_.size()),
      unchecked_(table_.size()),
      layers_here_{0, config.layers} {}

void Model::allocate_masters() {
  masters_ = Buffer<float>::zeros(static_cast<size_t>(flat_size(table_)));
  point_into(weights_, table_, masters_.data());
}

Model Model::random(const Config& config, uint64_t seed) {
  validate(config, "model");
  Model model(config);
  model.allocate_masters();
  parallel_for(static_cast<int64_t>(model.table_.size()), [&](int64_t i) {
    const TensorRow& row = model.table_[static_cast<size_t>(i)];
    initialise(row, config, seed, model.masters_.data() + row.offset);
  });
  model.quantise();
  return model;
}

namespace {
Model read_model(const Path& path, OpenFor purpose) {
  return std::filesystem::is_directory(path) ? open_hf_model(path) : open_gguf_model(path, purpose);
}
}  // namespace

Model Model::open(const Path& path) {
  Model model = read_model(path, OpenFor::kAnything);
  check_kernels(model.weights(), kernels::active(), kernels::active_isa());
  return model;
}

Model Model::open_to_run(const Path& path) { return open_to_run(path, Ranks()); }

Model Model::open_to_run(const Path& path, const Ranks& ranks) {
  Timer timer;
  LoadTimes times;
  const auto lap = [&timer](double& part) {
    part = timer.seconds();
    timer.restart();
  };
  Model model = read_model(path, OpenFor::kRunning);
  lap(times.read);
  model.weights_ = part_of(model.weights_, ranks);
  model.layers_here_ = ranks.layers(model.config().layers);
  model.head_here_ = ranks.last_stage();
  model.arrange();
  lap(times.arrange);
  check_kernels(model.weights(), kernels::active(), kernels::active_isa());
  lap(times.check);
  model.load_times_ = times;
  return model;
}

QuantisationStats Model::quantise() {
  TRIT_CHECK(masters_.size() > 0);
  return quantise([this](size_t i, std::span<int8_t> levels) {
    const TensorRow& row = table_[i];
    const std::span<const float> w(masters_.data() + row.offset, static_cast<size_t>(row.count()));
    const WeightQuantizer quantizer = fit_quantizer(config().weights, w, row.gguf_name);
    quantize_weights(quantizer, w, levels);
    return quantizer.scale;
  });
}

QuantisationStats Model::quantise(const MakeLevels& make) {
  std::atomic<int64_t> weights = 0, zeros = 0, flips = 0;
  parallel_for(static_cast<int64_t>(table_.size()), [&](int64_t i) {
    const TensorRow& row = table_[static_cast<size_t>(i)];
    if (!is_packed(config(), row)) return;
    Linear& linear = weights_.layers[static_cast<size_t>(row.layer)][row.projection];
    std::vector<int8_t> levels(static_cast<size_t>(row.count()));
    const float scale = make(static_cast<size_t>(i), levels);
    Buffer<uint8_t> packed(static_cast<size_t>(linear.outputs * packed_row_bytes(linear.inputs)));
    pack_trits(levels, linear.outputs, linear.inputs, {packed.data(), packed.size()});

    Buffer<uint8_t>& before = packed_[static_cast<size_t>(i)];
    if (before.size() > 0)
      flips += count_flips({before.data(), before.size()}, {packed.data(), packed.size()});
    zeros += count_trits({packed.data(), packed.size()}, linear.outputs, linear.inputs).zero;
    weights += row.count();
    before = std::move(packed);
    linear.packed = before.data();
    linear.scale = scale;
  });
  return {weights, zeros, flips};
}

QuantisationStats Model::levels() const {
  QuantisationStats stats;
  for (const LayerWeights& layer : weights_.layers) {
    for (const Linear& linear : layer.projections) {
      if (linear.packed == nullptr) continue;
      const size_t bytes = static_cast<size_t>(linear.outputs * packed_row_bytes(linear.inputs));
      stats.zeros += count_trits({linear.packed, bytes}, linear.outputs, linear.inputs).zero;
      stats.weights += linear.outputs * linear.inputs;
    }
  }
  return stats;
}

bool Model::is_here(const TensorRow& row) const {
  if (row.role == TensorRole::kHead) return head_here_;
  return row.layer < 0 || (row.layer >= layers_here_.begin && row.layer < layers_here_.end);
}

// Bytes of one tensor as stored, scales included: of this rank's part.
int64_t Model::stored_bytes(const TensorRow& row) const {
  if (!is_here(row)) return 0;
  if (is_packed(config(), row)) {
    const Linear& linear = weights_.layers[static_cast<size_t>(row.layer)][row.projection];
    const int64_t scales =
        linear.input_kind == InputKind::kInt8 ? 1 : linear.outputs * runs(linear.inputs);
    const int64_t levels = linear.tiles == nullptr
                               ? linear.outputs * packed_row_bytes(linear.inputs)
                               : tiled_bytes(linear.tile_form, linear.outputs, linear.inputs);
    return levels + 4 * scales;
  }
  const int64_t columns = row.shape.back();
  return row.count() / columns * stored_at(weights_, row).row_bytes(columns);
}

int64_t Model::stored_bytes() const {
  int64_t bytes = 0;
  for (const TensorRow& row : table_) bytes += stored_bytes(row);
  return bytes;
}

int64_t Model::stored_linear_bytes() const {
  int64_t bytes = 0;
  for (const TensorRow& row : table_)
    bytes += row.role == TensorRole::kProjection ? stored_bytes(row) : 0;
  return bytes;
}

int64_t Model::bytes_per_token() const {
  if (config().tied) return stored_bytes();
  return stored_bytes() - (config().vocabulary - 1) * weights_.embedding.row_bytes(config().hidden);
}

}  // namespace trit
