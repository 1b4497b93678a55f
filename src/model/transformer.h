#pragma once
// The forward pass, shared by prefill, decode and training, and the backward pass that mirrors it.

#include <cstdint>
#include <functional>
#include <span>

#include "model/model.h"

namespace trit {

// Tokens to run: row n is tokens[n], at slots[n] of the cache. Rows of one sequence stand in order of
// position, and all earlier positions of it are in the cache or earlier in the batch.
struct Batch {
  std::span<const int32_t> tokens;
  std::span<const TokenSlot> slots;
  // The pages of each sequence that the slots name; none where the state has a cache of its own.
  std::span<const PageTable> tables = {};
};

// Runs the layers: fills state.hidden [N, C] (and, when the state keeps, all its activations) and
// appends to state.kv. Throws Error for a token outside the vocabulary and for activations that are
// not finite.
void forward(const Weights& weights, const Batch& batch, State& state);

// out [N, V]: the logits of rows of state.hidden. Each rank of a tensor group gets all of them.
void head_forward(const Weights& weights, ConstMatrix hidden, const Ranks& ranks,
                  Workspace& workspace, Matrix out);
// logits [rows, V] of the rows [first, first + rows) of state.hidden.
void logits(const Weights& weights, State& state, int64_t first, Matrix out);

// Gradients of the parameters: a flat array laid out by the tensor table, and where its parts lie.
class Gradients {
 public:
  explicit Gradients(const Config& config);
  void clear();
  std::span<float> flat() { return {memory_.data(), memory_.size()}; }
  std::span<const TensorRow> table() const { return table_; }

  struct Layer {
    std::array<float*, kProjections> projections{};
    std::array<float*, kProjections>
        inner_norms{};  // null when the form has none; so are the next six
    float *attn_norm = nullptr, *q_norm = nullptr, *k_norm = nullptr, *attn_sub_norm = nullptr,
          *ffn_norm = nullptr, *ffn_sub_norm = nullptr;
  };
  std::vector<Layer> layers;
  float* embedding = nullptr;
  float* final_norm = nullptr;
  float* head = nullptr;  // the embedding's when tied

 private:
  std::vector<TensorRow> table_;
  Buffer<float> memory_;
};

// forward() of `sequences` whole sequences (row b T + t has position t), the cross-entropy of targets
// [N], and its gradient, scaled by gradient_scale per token and added to `gradients`. losses [N] gets
// each token's loss in nats. The state must keep its activations. `done`, when there is one, is called when the gradients
// of a layer are complete: with `layers` for what comes after them in the table, then from the last layer to the
// first, then with -1 for the embedding (and the head that is tied to it).
void forward_backward(const Weights& weights, int64_t sequences, std::span<const int32_t> tokens,
                      std::span<const int32_t> targets, float gradient_scale, State& state,
                      Gradients& gradients, std::span<float> losses,
                      const std::function<void(int64_t layer)>& done = {});

// Slots of `sequences` whole sequences of `length` tokens.
std::vector<TokenSlot> whole_sequences(int64_t sequences, int64_t length);

}  // namespace trit
