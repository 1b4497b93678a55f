#pragma once
// What the weights of a model look like, for people: levels and scales by matrix, bits per weight, and
// what is unusual about them.

#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "quant/packing.h"

namespace trit {

struct MatrixSummary {
  std::string name;  // in GGUF's spelling
  int layer;
  Projection projection;
  TritCounts counts;
  float scale;           // of the matrix; with a scale per run their mean
  float least, largest;  // the range of the scales
  int64_t dead_outputs;  // rows that are all zeros
  int64_t weights() const { return counts.minus + counts.zero + counts.plus; }
  double share(int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(weights());
  }
};

// The packed projections, in the order of the tensor table. Empty for a float model.
std::vector<MatrixSummary> summarize(const Model& model);

// Bits that the projections take per weight, scales included, and the whole model per parameter.
struct BitsPerWeight {
  double linear, all;
};
BitsPerWeight bits_per_weight(const Model& model);

// One line each: shares of zeros and scales that stand out from the other layers, outputs that are always
// zero, an epsilon or a base that no published model has.
std::vector<std::string> unusual(const Model& model, std::span<const MatrixSummary> matrices);

}  // namespace trit
