#pragma once
// Random weights of whole models for the benchmarks, quickly made.

#include <algorithm>
#include <vector>

#include "model/model.h"
#include "quant/packing.h"

namespace trit::bench {

// Weights that are all views of the same memory: only their number matters.
inline Weights weights_of(const Config& c, std::vector<uint8_t>& memory) {
  Weights w = empty_weights(c);
  int64_t most = c.vocabulary * c.hidden * 2;
  for (const Linear& l : w.layers[0].projections)
    most = std::max(most, l.kind == WeightKind::kFloat ? l.outputs * l.inputs * 2
                                                       : l.outputs * packed_row_bytes(l.inputs));
  if (c.weights == WeightKind::kFloat) {
    memory.assign(static_cast<size_t>(most), 0);
    for (size_t i = 0; i < memory.size(); i += 2) {
      memory[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
      memory[i + 1] = static_cast<uint8_t>(0x20 | (i * 40503u >> 5 & 0x80));  // about +-0.01
    }
  } else {
    memory.assign(static_cast<size_t>(most), 0);
    for (size_t i = 0; i < memory.size(); ++i) {
      for (int s = 0; s < 8; s += 2)
        memory[i] = static_cast<uint8_t>(memory[i] | (i * 2654435761u >> (9 + s)) % 3 << s);
    }
  }
  static std::vector<float> ones(1 << 16, 1.0f);
  for (LayerWeights& layer : w.layers) {
    for (Linear& l : layer.projections) {
      l.packed = l.kind == WeightKind::kFloat ? nullptr : memory.data();
      l.dense = {memory.data(), DType::kF16};
      l.scale = 0.02f;
    }
    if (c.block_norms()) layer.attn_norm = layer.ffn_norm = ones.data();
    if (c.sub_norms()) layer.attn_sub_norm = layer.ffn_sub_norm = ones.data();
  }
  w.final_norm = ones.data();
  static std::vector<uint16_t> table;
  table.assign(static_cast<size_t>(c.vocabulary * c.hidden), 0);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<uint16_t>(0x2000 | (i * 2654435761u >> 9 & 0x83FF));
  w.embedding = w.head.dense = {table.data(), DType::kF16};
  return w;
}

}  // namespace trit::bench
