#pragma once
// A model's weights on an NVIDIA device: one copy, packed, that serves a single token and many.
//
// Projections that share their input stand one below the other as one product: q, k and v; and gate and up, whose
// tiles of 16 rows alternate. Where each has a norm gain of its own (NormForm::kInner) their inputs differ, so
// they stay apart.
//
// Of a model that ranks divide (model/parallel.h) a device has its rank's part: some rows of every matrix of its stage's
// layers and of the head, the embedding table in the first stage, the head in the last.

#include <optional>
#include <vector>

#include "kernels/cuda/kernels.h"
#include "model/cuda/ranks.h"
#include "model/model.h"

namespace trit::cuda {

// A product of the forward pass: ternary or float.
struct DeviceProduct {
  TernaryLayer levels;  // when it is ternary
  DenseLayer dense;     // when it is not
  Norm inner;           // before the quantisation of its input
  int64_t first = 0;    // column of its first output in the buffer it writes
  bool ternary() const { return levels.tiles != nullptr; }
};

struct DeviceLayer {
  std::vector<DeviceProduct> qkv;  // one, or three
  DeviceProduct o;
  std::vector<DeviceProduct> gate_up;  // one that alternates, or two
  DeviceProduct down;
  Norm attn_norm, q_norm, k_norm, attn_sub_norm, ffn_norm, ffn_sub_norm;
};

class DeviceWeights {
 public:
  // Copies the weights (with levels in the canonical packing, as Model::open leaves them) to the current device. Throws
  // Error for forms that the device's kernels do not have (levels with float inputs), and when there is not
  // enough memory. They are the rank's part of the model, as part_of() makes it; `ranks` must outlive this.
  DeviceWeights(const Weights& weights, StreamHandle stream, const Ranks& ranks = {});
  // Random weights of a shape, made on the device: levels with int8 inputs, all else float16, norms of ones.
  DeviceWeights(const Config& shape, uint64_t seed, StreamHandle stream);

  Config config;  // of the whole model
  Config part;    // with the heads, kv_heads and ffn of this rank
  DeviceRanks ranks;
  DenseLayer embedding, head;
  std::vector<DeviceLayer> layers;  // of this stage
  Norm final_norm;
  QkvColumns qkv_columns;
  int64_t qkv_width = 0;                    // columns of the buffer that q, k and v share
  int64_t hidden_width = 0, ffn_width = 0;  // hidden and ffn of the whole model, rounded up to 16
  int64_t bytes() const { return memory_.bytes(); }

 private:
  void make(const Weights& weights, std::optional<uint64_t> seed, StreamHandle stream);
  DeviceMemory memory_;
};

}  // namespace trit::cuda
