#pragma once
// forward_backward() of model/transformer.h on an NVIDIA device, line by line, from the device's kernels: whole sequences
// through the model and back. Activations, and their gradients, are of one type; ternary layers multiply int8 rows in
// both.

#include "model/cuda/trained_weights.h"

namespace trit::cuda {

struct TrainingPass {
  int64_t sequences = 1, length = 1;  // of a pass; N rows
  Float type = Float::kBF16;
  // Keep of each layer what enters it, and compute the rest again on the way back.
  bool recompute = false;
  int64_t rows() const { return sequences * length; }
};

// Memory of passes, and their queueing.
class Training {
 public:
  // `weights` must outlive it, and all is queued on that stream.
  Training(const TrainedWeights& weights, const TrainingPass& pass, StreamHandle stream);

  // What a pass reads: [N] each, to be written before (order: token_order of the tokens).
  int32_t* tokens = nullptr;
  int32_t* targets = nullptr;
  int32_t* order = nullptr;
  // What it leaves: the loss of each row [N] in nats.
  float* losses = nullptr;
  const Scratch& scratch() const { return scratch_; }
  int64_t bytes() const { return memory_.bytes(); }

  // Losses alone.
  void forward_losses() const;
  // Losses, and their gradient, scaled per token: added to the weights' gradients, or in their place when `first`.
  void forward_backward(float gradient_scale, bool first) const;

 private:
  // The input of a product, for the way back.
  struct Input {
    Rows values;  // what it multiplied: normed, as ternary layers have them q * step
    float* inverse_rms = nullptr;
  };
  struct Layer {
    Rows x, qkv, o, h, gate_up, m;
    float* log_sums = nullptr;
    std::vector<Input> of_qkv, of_gate_up;
    Input of_o, of_down;
  };

  void lay_out(Arena& arena);
  Layer lay_out_layer(Arena& arena) const;
  Input lay_out_input(Arena& arena, const TrainedProduct& product, const Rows& from) const;
  Rows rows(Arena& arena, int64_t columns) const {
    return arena.rows(N_, padded(columns), pass_.type);
  }

  QuantizedRows quantized(const TrainedProduct& product) const;
  // y = product(x) (+ add)
  void multiply_forward(const TrainedProduct& product, ConstRows x, const Input& input,
                        ConstRows add, Rows y) const;
  // dx (residual: += ; otherwise =) from dy; and the parameters' gradients.
  void multiply_backward(const TrainedProduct& product, ConstRows x, const Input& input,
                         ConstRows dy, Rows dx, bool residual, bool first) const;
  void down_forward(const TrainedProduct& down, const Layer& s, Rows out) const;
  void down_backward(const TrainedProduct& down, const Layer& s, bool first) const;
  void input_gradients(const TrainedProduct& product, ConstRows dy, Rows dinput) const;
  void weight_gradients(const TrainedProduct& product, ConstRows input, ConstRows dy, int64_t count,
                        bool first) const;
  void layer_forward(size_t l) const;
  void layer_backward(size_t l, bool first) const;
  void forward() const;
  void losses_of_rows(int64_t begin, int64_t count, float gradient_scale) const;
  void head_backward(int64_t begin, int64_t count, bool first) const;
  // Of q, k and v side by side.
  struct Heads {
    Rows q, k, v;
  };
  Heads heads(const Rows& qkv) const;
  Rows output_of(size_t l) const { return l + 1 < layers_.size() ? layers_[l + 1].x : output_; }

  const TrainedWeights& weights_;
  TrainingPass pass_;
  StreamHandle stream_;
  int64_t N_, chunk_ = 0;  // rows; those whose logits exist at a time
  bool fuses_ = false;     // the gated unit with what comes next: its result m is never there
  DeviceMemory memory_;
  Scratch scratch_;
  QuantizedRows q_;  // of the widest input
  std::vector<Layer> layers_;
  Rows output_, hidden_, logits_;
  float* output_inverse_rms_ = nullptr;
  Rows dx_, dinput_, dqkv_, do_, dm_;  // gradients
  std::byte* unpacked_ = nullptr;      // the widest product's levels
  const float *cosine_ = nullptr, *sine_ = nullptr;
};

}  // namespace trit::cuda
