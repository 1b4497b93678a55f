#pragma once
// The model's data: Weights (what the forward pass reads), State (what it writes), and the tensor
// table that names, shapes and places every parameter.
//
// Letters: B sequences of T tokens, N = B T rows, C hidden width, H heads of size D, G key/value heads,
// F feed-forward width, V vocabulary, L layers. Matrices are row-major, weights are [outputs, inputs].

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "model/config.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/matrix.h"

namespace trit {

// The seven projections of a layer, in the order of the tensor table.
enum class Projection : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kProjections = 7;

// ---- The tensor table: one row per parameter tensor ----

enum class TensorRole : uint8_t {
  kEmbedding,   // [V, C]
  kHead,        // [V, C], absent when tied
  kProjection,  // a linear layer that is quantised in the ternary and binary forms
  kNorm,        // gain of an RMSNorm
};

struct TensorRow {
  std::string hf_name;    // in Hugging Face checkpoints
  std::string gguf_name;  // in GGUF files
  Shape shape;
  TensorRole role;
  int layer;              // -1 outside the layers
  Projection projection;  // of a projection, or of the norm inside one
  int64_t offset;         // first element in the flat array of master parameters
  int64_t count() const { return element_count(shape); }
};
// In the order of the forward pass; offsets are multiples of 16 elements.
std::vector<TensorRow> tensor_table(const Config& config);
// Elements of the flat array, padding included.
int64_t flat_size(std::span<const TensorRow> table);

// ---- Weights ----

struct LayerWeights {
  std::array<Linear, kProjections> projections;
  const float* attn_norm = nullptr;      // [C], null when the form has none; so are the next five
  const float* q_norm = nullptr;         // [D]
  const float* k_norm = nullptr;         // [D]
  const float* attn_sub_norm = nullptr;  // [H D]
  const float* ffn_norm = nullptr;       // [C]
  const float* ffn_sub_norm = nullptr;   // [F]
  const Linear& operator[](Projection p) const { return projections[static_cast<size_t>(p)]; }
  Linear& operator[](Projection p) { return projections[static_cast<size_t>(p)]; }
};

// Views only; the memory belongs to a Model (model/checkpoint.h) or to a trainer.
struct Weights {
  Config config;
  StoredMatrix embedding;  // [V, C]
  std::vector<LayerWeights> layers;
  const float* final_norm = nullptr;  // [C]
  Linear head;                        // float; the embedding when tied
};

// Layer shapes, kinds and norms of `config` filled in, pointers still null.
Weights empty_weights(const Config& config);
// A projection that is stored as packed levels, not as floats.
bool is_packed(const Config& config, const TensorRow& row);
// Makes `stored` the tensor `row` of the weights: an embedding, head, norm (float32) or float projection.
void point_at(Weights& weights, const TensorRow& row, const StoredMatrix& stored);
// The reverse: where that tensor lies.
StoredMatrix stored_at(const Weights& weights, const TensorRow& row);
// point_at for every row, into a flat array of float32 parameters.
void point_into(Weights& weights, std::span<const TensorRow> table, const float* flat);

// ---- State ----

// The cached keys and values of every layer: a view of pages that belong to somebody else. A page's number means
// the same positions in every layer.
struct KvCache {
  std::vector<KvLayer> layers;
};

// A simple cache that owns its pages: for sequences 0 to `sequences` - 1 and positions 0 to `positions` - 1, each
// sequence's pages in a row.
class WholeKvCache {
 public:
  WholeKvCache() = default;
  // shared: the layers use the same memory, which will do where each pass runs whole sequences.
  WholeKvCache(const Config& config, KvType type, int64_t sequences, int64_t positions,
               bool shared);
  const KvCache& view() const { return view_; }
  std::span<const PageTable> tables() const { return tables_; }

 private:
  Buffer<std::byte> memory_;
  KvCache view_;
  std::vector<int32_t> pages_;     // 0, 1, 2, ...
  std::vector<PageTable> tables_;  // runs of them
};

// What a State is for.
enum class Pass : uint8_t {
  kContinue,  // passes go on where earlier ones ended: prefill in pieces, decode
  kWhole,     // every pass runs whole sequences: evaluation
  kTraining,  // the same, and every layer's activations stay for the backward pass
};

// What one layer's forward pass leaves behind. In training each layer has its own; in inference all
// share one.
struct LayerActivations {
  Matrix x;                   // [N, C] the residual stream as it enters
  Matrix a;                   // [N, C] attention's input: x after attn_norm, or x itself
  Matrix q_raw, k_raw;        // [N, H D], [N, G D] before q_norm and k_norm, or q and k themselves
  Matrix q;                   // [N, H D] rotated
  Matrix k, v;                // [N, G D] k rotated
  float* log_sums = nullptr;  // [N, H] of the softmax
  Matrix o_part;              // [N, H D] attention's output, this rank's heads; o itself when alone
  Matrix o;                   // [N, H D]
  Matrix s;                   // [N, H D] o after attn_sub_norm, or o itself
  Matrix h;                   // [N, C] the residual stream after attention
  Matrix f;                   // [N, C] the feed-forward part's input: h after ffn_norm, or h itself
  Matrix gate, up;            // [N, F], this rank's columns
  Matrix m_part;              // [N, F] act(gate) * up, the same; m itself when alone
  Matrix m;                   // [N, F]
  Matrix n;                   // [N, F] m after ffn_sub_norm, or m itself
};

class Ranks;  // model/parallel.h

// Memory of forward passes over at most `max_rows` rows of `sequences` sequences of up to `positions` tokens.
class State {
 public:
  // With a float32 cache of its own.
  State(const Config& config, Pass pass, int64_t sequences, int64_t positions, int64_t max_rows);
  // With the cache of somebody else, for passes that continue; batches bring their page tables. `ranks`, which must
  // outlive it, are those that the model is divided among; null: there is this one alone.
  State(const Config& config, KvCache cache, int64_t positions, int64_t max_rows,
        const Ranks* ranks = nullptr);
  // Sets the number of rows of the views below, at most max_rows.
  void resize(int64_t rows);

  int64_t rows() const { return rows_; }
  bool keeps() const { return pass_ == Pass::kTraining; }
  const Ranks& ranks() const { return *ranks_; }
  std::vector<LayerActivations> layers;
  Matrix output;  // [N, C] the residual stream after the last layer
  Matrix hidden;  // [N, C] output after the final norm: the head's input
  KvCache kv;
  // Those of the state's own cache: for batches that bring none.
  std::span<const PageTable> own_tables() const { return own_kv_.tables(); }
  RotaryTable rotary;
  Workspace workspace;

 private:
  Matrix take(int64_t columns);
  void lay_out();
  WholeKvCache own_kv_;
  Config config_;
  const Ranks* ranks_;
  Pass pass_;
  int64_t max_rows_, rows_ = 0, used_ = 0;
  Buffer<float> memory_;
};

}  // namespace trit
