#include "model/summary.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

int64_t zero_rows(const Linear& layer) {
  const int64_t bytes = packed_row_bytes(layer.inputs);
  int64_t dead = 0;
  for (int64_t r = 0; r < layer.outputs; ++r) {
    const uint8_t* row = layer.packed + r * bytes;
    dead += std::all_of(row, row + bytes, [](uint8_t b) { return b == 0x55; });  // four codes of 1
  }
  return dead;
}

MatrixSummary summary_of(const TensorRow& row, const Linear& layer) {
  MatrixSummary m{row.gguf_name, row.layer,   row.projection, {},
                  layer.scale,   layer.scale, layer.scale,    zero_rows(layer)};
  const size_t bytes = static_cast<size_t>(layer.outputs * packed_row_bytes(layer.inputs));
  m.counts = count_trits({layer.packed, bytes}, layer.outputs, layer.inputs);
  if (layer.input_kind == InputKind::kInt8) return m;
  const std::span scales(layer.run_scales, static_cast<size_t>(layer.outputs * runs(layer.inputs)));
  const auto [least, largest] = std::ranges::minmax(scales);
  double sum = 0;
  for (const float s : scales) sum += static_cast<double>(s);
  m.scale = static_cast<float>(sum / static_cast<double>(scales.size()));
  m.least = least;
  m.largest = largest;
  return m;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Matrices of one projection whose value is far from the median over the layers.
template <class Value>
void stand_out(std::span<const MatrixSummary> matrices, Value value, double factor,
               std::string_view what, std::vector<std::string>& notes) {
  for (int p = 0; p < kProjections; ++p) {
    std::vector<double> values;
    for (const MatrixSummary& m : matrices) {
      if (m.projection == static_cast<Projection>(p)) values.push_back(value(m));
    }
    if (values.size() < 3) continue;
    const double usual = median(values);
    for (const MatrixSummary& m : matrices) {
      if (m.projection != static_cast<Projection>(p)) continue;
      if (value(m) > usual * factor || value(m) * factor < usual) {
        notes.push_back(fmt::format("{}: its {} is {:.3g}; the median of such layers is {:.3g}",
                                    m.name, what, value(m), usual));
      }
    }
  }
}

}  // namespace

std::vector<MatrixSummary> summarize(const Model& model) {
  std::vector<const TensorRow*> rows;
  for (const TensorRow& row : model.table()) {
    if (is_packed(model.config(), row)) rows.push_back(&row);
  }
  std::vector<MatrixSummary> summaries(rows.size());
  parallel_for(std::ssize(rows), [&](int64_t i) {
    const TensorRow& row = *rows[static_cast<size_t>(i)];
    summaries[static_cast<size_t>(i)] =
        summary_of(row, model.weights().layers[static_cast<size_t>(row.layer)][row.projection]);
  });
  return summaries;
}

BitsPerWeight bits_per_weight(const Model& model) {
  const auto all = static_cast<double>(model.config().parameters());
  const auto linear = static_cast<double>(model.config().linear_parameters());
  return {8.0 * static_cast<double>(model.stored_linear_bytes()) / linear,
          8.0 * static_cast<double>(model.stored_bytes()) / all};
}

std::vector<std::string> unusual(const Model& model, std::span<const MatrixSummary> matrices) {
  std::vector<std::string> notes;
  stand_out(
      matrices, [](const MatrixSummary& m) { return m.share(m.counts.zero); }, 2.0,
      "share of zeros", notes);
  stand_out(
      matrices, [](const MatrixSummary& m) { return static_cast<double>(m.scale); }, 10.0, "scale",
      notes);
  for (const MatrixSummary& m : matrices) {
    if (m.dead_outputs > 0)
      notes.push_back(fmt::format("{}: {} outputs are always zero", m.name, m.dead_outputs));
  }
  const Config& c = model.config();
  constexpr std::array kEpsilons = {1e-5f, 1e-6f};
  if (std::ranges::find(kEpsilons, c.norm_epsilon) == kEpsilons.end())
    notes.push_back(
        fmt::format("rms_norm_eps is {}; published models have 1e-5 or 1e-6", c.norm_epsilon));
  return notes;
}

}  // namespace trit
