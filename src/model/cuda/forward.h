#pragma once
// The forward pass of model/transformer.h on an NVIDIA device, line by line, from the device's kernels. A rank of a job
// runs its stage's layers; what it computes of a row is gathered as on the CPU, before it is normed.

#include <algorithm>

#include "model/cuda/device_weights.h"

namespace trit::cuda {

// The device's pages of every layer: a view.
struct DeviceKvCache {
  std::vector<KvLayer> layers;
};

// Memory of passes over at most `max_rows` rows.
class DeviceState {
 public:
  DeviceState(const DeviceWeights& weights, DeviceKvCache cache, int64_t max_rows, int64_t context);
  int64_t max_rows() const { return max_rows_; }
  int64_t head_rows() const { return std::min<int64_t>(256, max_rows_); }  // of logits() at a time
  int64_t bytes() const { return memory_.bytes() + rotary_.bytes(); }
  // cos and sin for positions below `positions`, which it makes more of when there are fewer; true when it did (what
  // was recorded in graphs points at the old ones).
  bool reach(int64_t positions, StreamHandle stream);
  int64_t positions() const { return positions_; }

  DeviceKvCache kv;
  int32_t* tokens = nullptr;  // [N]
  float* x = nullptr;         // [N, hidden_width] the residual stream
  float* a = nullptr;         // [N, hidden_width] normed, float models; in the end the head's input
  float* qkv = nullptr;       // [N, qkv_width]
  float* o = nullptr;         // [N, H D], and normed
  float* m = nullptr;         // [N, ffn_width]
  float* gate = nullptr;      // [N, ffn_width] where gate and up stay apart; so is the next
  float* up = nullptr;
  Handed x_handed, m_handed;  // beside a single row's x and m
  // Where a tensor group divides rows: this rank's columns of any of these, or of logits, and everybody's.
  float* part = nullptr;
  float* all_parts = nullptr;
  QuantizedRows q;          // of the widest input
  float* cosine = nullptr;  // [positions, D / 2]
  float* sine = nullptr;
  Scratch scratch;

 private:
  DeviceMemory memory_, rotary_;
  int64_t max_rows_, head_dim_, positions_ = 0;
  float theta_;
};

// Queues a pass over `rows` rows: state.tokens at `slots`. Leaves the head's input in state.a [rows, hidden_width] (in
// the last stage).
void forward(StreamHandle stream, const DeviceWeights& weights, int64_t rows, const RowSlots& slots,
             DeviceState& state);
// Queues the logits [rows, V] of at most head_rows() rows of the head's input, hidden_width apart. In the last stage.
void logits(StreamHandle stream, const DeviceWeights& weights, const float* hidden, int64_t rows,
            float* out, const DeviceState& state);

}  // namespace trit::cuda
