#include "model/transformer.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "model/parallel.h"
#include "ops/embedding.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/tile_product.h"

namespace trit {
namespace {

using P = Projection;

// y = layer(x) for each. Layers with a norm gain of their own need their own input; the others share it.
void project(ConstMatrix x, std::initializer_list<LinearOutput> outputs, Workspace& workspace) {
  const std::span<const LinearOutput> all(outputs.begin(), outputs.size());
  const bool shared =
      std::ranges::none_of(all, [](auto& o) { return o.layer->norm_gain != nullptr; });
  const size_t together = shared ? all.size() : 1;
  for (size_t i = 0; i < all.size(); i += together) {
    const LinearInput input = prepare_input(*all[i].layer, x, workspace);
    linear_forward(all.subspan(i, together), input, workspace);
  }
}

constexpr int64_t kGrain = 16384;  // elements that one thread takes at a time

// y = x + z
void add_rows(ConstMatrix x, ConstMatrix z, Matrix y) {
  parallel_ranges(x.size(), kGrain, [&](int64_t begin, int64_t end) {
    if (y.data != x.data) std::copy(x.data + begin, x.data + end, y.data + begin);
    kernels::active().add(z.data + begin, end - begin, y.data + begin);
  });
}

// m = act(gate x) * (up x). What lies between is kept where the backward pass wants it.
void project_gated(const LayerWeights& w, Activation activation, const LayerActivations& s,
                   bool keep, Workspace& workspace) {
  const Linear &gate = w[P::kGate], &up = w[P::kUp];
  if (!keep && multiply_gated(gate, up)) {
    gated_tiles_forward(activation, gate, up, prepare_input(gate, s.f, workspace), s.m_part,
                        workspace);
    return;
  }
  project(s.f, {{&gate, s.gate}, {&up, s.up}}, workspace);
  glu_forward(activation, s.gate, s.up, s.m_part);
}

// The heads of x as rows of their own: [N, H D] -> [N H, D].
Matrix heads(Matrix x, int64_t head_dim) { return {x.data, x.size() / head_dim, head_dim}; }

void zero(Matrix m) {
  parallel_ranges(m.size(), kGrain, [&](int64_t begin, int64_t end) {
    std::fill(m.data + begin, m.data + end, 0.0f);
  });
}

// Where layers keep nothing, rows go through each of them in pieces of so many: what lies between two products
// stays in the second caches, and a layer's weights come from memory once.
constexpr int64_t kPieceRows = 128;

// Rows [first, first + rows) of a batch on their way through a layer.
struct Piece {
  int64_t first, rows;
  Matrix of(Matrix m) const { return {m.row(first), rows, m.columns}; }
  // Of what only this layer needs: all pieces have it in the same place.
  Matrix in(Matrix m) const { return {m.data, rows, m.columns}; }
};

LayerActivations piece_of(const LayerActivations& all, const Piece& piece) {
  using A = LayerActivations;
  A part = all;
  for (const auto m : {&A::q_raw, &A::k_raw, &A::q, &A::k, &A::v, &A::o_part, &A::o, &A::s, &A::h,
                       &A::f, &A::gate, &A::up, &A::m_part, &A::m, &A::n})
    part.*m = piece.in(all.*m);
  part.x = piece.of(all.x);
  part.a = all.a.data == all.x.data ? part.x : piece.in(all.a);
  return part;
}

// Threads that wait behind the next loops fetch what comes then. Of many rows they multiply for longer than they wait.
void announce(int64_t rows, std::initializer_list<const Linear*> layers) {
  if (rows <= 2) announce_product(std::span(layers.begin(), layers.size()));
}

// Attention:     h = x + Wo s(attend(rope(Wq a), rope(Wk a), Wv a)),  a = norm(x)
//                (Qwen3: rope(norm(Wq a)), rope(norm(Wk a)), over each head)
// Feed-forward:  out = h + Wdown n(act(Wgate f) * (Wup f)),           f = norm(h)
void layer_forward(const Weights& weights, size_t l, const LayerActivations& s,
                   std::span<const TokenSlot> slots, std::span<const PageTable> tables,
                   State& state, Matrix out) {
  const Config& c = weights.config;
  const LayerWeights& w = weights.layers[l];
  const KvLayer& cache = state.kv.layers[l];
  const Ranks& ranks = state.ranks();
  Workspace& workspace = state.workspace;
  const AttentionShape shape{s.q.columns / c.head_dim, s.k.columns / c.head_dim, c.head_dim};
  const float eps = c.norm_epsilon;
  const int64_t D = c.head_dim, N = s.x.rows;
  const Matrix branch{workspace.get<float>("branch", N * c.hidden), N, c.hidden};
  const auto project_branch = [&](ConstMatrix x, const Linear& layer) {
    const Matrix y =
        ranks.tensor_size() == 1
            ? branch
            : Matrix{workspace.get<float>("branch_part", N * layer.outputs), N, layer.outputs};
    project(x, {{&layer, y}}, workspace);
    ranks.gather_columns(y, branch, workspace);
  };

  if (w.attn_norm) rmsnorm_forward(s.x, w.attn_norm, eps, s.a);
  announce(N, {&w[P::kO]});
  project(s.a, {{&w[P::kQ], s.q_raw}, {&w[P::kK], s.k_raw}, {&w[P::kV], s.v}}, workspace);
  if (w.q_norm) rmsnorm_forward(heads(s.q_raw, D), w.q_norm, eps, heads(s.q, D));
  if (w.k_norm) rmsnorm_forward(heads(s.k_raw, D), w.k_norm, eps, heads(s.k, D));
  rotary(state.rotary, slots, D, s.q, 1.0f);
  rotary(state.rotary, slots, D, s.k, 1.0f);
  cache_and_attend(shape, s.q, s.k, s.v, slots, tables, cache, s.o_part,
                   state.keeps() ? s.log_sums : nullptr);
  ranks.gather_columns(s.o_part, s.o, workspace);
  if (w.attn_sub_norm) rmsnorm_forward(s.o, w.attn_sub_norm, eps, s.s);
  announce(N, {&w[P::kGate], &w[P::kUp]});
  project_branch(s.s, w[P::kO]);
  add_rows(s.x, branch, s.h);

  if (w.ffn_norm) rmsnorm_forward(s.h, w.ffn_norm, eps, s.f);
  announce(N, {&w[P::kDown]});
  project_gated(w, c.activation, s, state.keeps(), workspace);
  ranks.gather_columns(s.m_part, s.m, workspace);
  if (w.ffn_sub_norm) rmsnorm_forward(s.m, w.ffn_sub_norm, eps, s.n);
  if (l + 1 < weights.layers.size()) {
    const LayerWeights& next = weights.layers[l + 1];
    announce(N, {&next[P::kQ], &next[P::kK], &next[P::kV]});
  } else {
    announce(N, {});
  }
  project_branch(s.n, w[P::kDown]);
  add_rows(s.h, branch, out);
}

}  // namespace

void forward(const Weights& weights, const Batch& batch, State& state) {
  const ParallelSection section;
  const Config& c = weights.config;
  const Ranks& ranks = state.ranks();
  const std::span<const PageTable> tables =
      batch.tables.empty() ? state.own_tables() : batch.tables;
  state.resize(static_cast<int64_t>(batch.tokens.size()));

  const Share stage = ranks.layers(c.layers);
  const auto begin = static_cast<size_t>(stage.begin), end = static_cast<size_t>(stage.end);
  if (ranks.first_stage())
    embedding_forward(weights.embedding, c.vocabulary, batch.tokens, state.layers[0].x);
  else
    ranks.receive_rows(state.layers[begin].x);
  const int64_t N = state.rows();
  const int64_t pieces =
      state.keeps() ? 1 : std::max<int64_t>(1, (N + kPieceRows / 2) / kPieceRows);
  for (size_t l = begin; l < end; ++l) {
    for (int64_t i = 0; i < pieces; ++i) {
      const Piece piece{N * i / pieces, N * (i + 1) / pieces - N * i / pieces};
      layer_forward(
          weights, l, piece_of(state.layers[l], piece),
          batch.slots.subspan(static_cast<size_t>(piece.first), static_cast<size_t>(piece.rows)),
          tables, state, piece.of(l + 1 < end ? state.layers[l + 1].x : state.output));
    }
  }
  if (ranks.last_stage())
    rmsnorm_forward(state.output, weights.final_norm, c.norm_epsilon, state.hidden);
  else
    ranks.send_rows(state.output);
}

void head_forward(const Weights& weights, ConstMatrix hidden, const Ranks& ranks,
                  Workspace& workspace, Matrix out) {
  const int64_t columns = weights.head.outputs;
  const Matrix y =
      ranks.tensor_size() == 1
          ? out
          : Matrix{workspace.get<float>("logits_part", out.rows * columns), out.rows, columns};
  const LinearInput input = prepare_input(weights.head, hidden, workspace);
  linear_forward(weights.head, input, y, workspace);
  ranks.gather_columns(y, out, workspace);
}

void logits(const Weights& weights, State& state, int64_t first, Matrix out) {
  head_forward(weights, {state.hidden.row(first), out.rows, state.hidden.columns}, state.ranks(),
               state.workspace, out);
}

Gradients::Gradients(const Config& config)
    : layers(static_cast<size_t>(config.layers)),
      table_(tensor_table(config)),
      memory_(Buffer<float>::zeros(static_cast<size_t>(flat_size(table_)))) {
  // The same shapes as the weights, so the same way of pointing: then take the addresses over.
  Weights places = empty_weights(config);
  point_into(places, table_, memory_.data());
  const auto writable = [](const void* p) { return static_cast<float*>(const_cast<void*>(p)); };
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerWeights& place = places.layers[l];
    for (size_t p = 0; p < kProjections; ++p) {
      layers[l].projections[p] = writable(place.projections[p].dense.data);
      layers[l].inner_norms[p] = writable(place.projections[p].norm_gain);
    }
    layers[l].attn_norm = writable(place.attn_norm);
    layers[l].q_norm = writable(place.q_norm);
    layers[l].k_norm = writable(place.k_norm);
    layers[l].attn_sub_norm = writable(place.attn_sub_norm);
    layers[l].ffn_norm = writable(place.ffn_norm);
    layers[l].ffn_sub_norm = writable(place.ffn_sub_norm);
  }
  embedding = writable(places.embedding.data);
  final_norm = writable(places.final_norm);
  head = writable(places.head.dense.data);
}

void Gradients::clear() { std::fill(memory_.begin(), memory_.end(), 0.0f); }

// The forward pass, from the bottom up. dx is the gradient of the residual stream: it enters a block
// as the gradient of the block's output, is also that of its skip connection, and collects the branch's.
void forward_backward(const Weights& weights, int64_t sequences, std::span<const int32_t> tokens,
                      std::span<const int32_t> targets, float gradient_scale, State& state,
                      Gradients& gradients, std::span<float> losses,
                      const std::function<void(int64_t layer)>& done) {
  TRIT_CHECK(state.keeps() && tokens.size() == targets.size() && tokens.size() == losses.size());
  const int64_t N = static_cast<int64_t>(tokens.size());
  const std::vector<TokenSlot> slots = whole_sequences(sequences, N / sequences);
  forward(weights, {tokens, slots}, state);

  const Config& c = weights.config;
  const AttentionShape shape{c.heads, c.kv_heads, c.head_dim};
  const float eps = c.norm_epsilon;
  Workspace& workspace = state.workspace;
  const auto gradient = [&](std::string_view slot, int64_t columns) {
    return Matrix{workspace.get<float>(slot, N * columns), N, columns};
  };
  const Matrix dx = gradient("dx", c.hidden), dnormed = gradient("dnormed", c.hidden);
  const Matrix dq = gradient("dq", shape.query_columns()), dk = gradient("dk", shape.kv_columns());
  const Matrix dv = gradient("dv", shape.kv_columns()), dO = gradient("do", shape.query_columns());
  const Matrix ds = gradient("ds", shape.query_columns()), dn = gradient("dn", c.ffn);
  const Matrix dk_normed = c.qk_norms ? gradient("dk_normed", shape.kv_columns()) : dk;
  const Matrix dm = gradient("dm", c.ffn), dup = gradient("dup", c.ffn);

  // y = layer(x): dx += ..., for the projections of layer l.
  const auto project_backward = [&](size_t l, P p, ConstMatrix x, ConstMatrix dy, Matrix dinput) {
    const auto slot = static_cast<size_t>(p);
    linear_backward(weights.layers[l][p], x, dy, dinput, gradients.layers[l].projections[slot],
                    gradients.layers[l].inner_norms[slot], workspace);
  };
  // z = norm(y), or z = y: the gradient of y, given that of z.
  const auto norm_backward = [&](ConstMatrix y, const float* gain, Matrix dz, Matrix dy,
                                 float* dgain) {
    if (gain == nullptr) return dz;
    zero(dy);
    rmsnorm_backward(y, gain, eps, dz, dy, dgain);
    return dy;
  };

  const auto heads_norm_backward = [&](Matrix y, const float* gain, Matrix dz, Matrix dy,
                                       float* dgain) {
    if (gain == nullptr) return dz;
    norm_backward(heads(y, c.head_dim), gain, heads(dz, c.head_dim), heads(dy, c.head_dim), dgain);
    return dy;
  };

  head_loss_backward(weights.head, state.hidden, targets, gradient_scale, losses.data(), dnormed,
                     gradients.head, workspace);
  zero(dx);
  rmsnorm_backward(state.output, weights.final_norm, eps, dnormed, dx, gradients.final_norm);
  if (done) done(c.layers);
  for (size_t l = weights.layers.size(); l-- > 0;) {
    const LayerWeights& w = weights.layers[l];
    const LayerActivations& s = state.layers[l];
    Gradients::Layer& g = gradients.layers[l];

    zero(dn);
    project_backward(l, P::kDown, s.n, dx, dn);
    const Matrix dact = norm_backward(s.m, w.ffn_sub_norm, dn, dm, g.ffn_sub_norm);
    const Matrix dgate = dact;
    glu_backward(c.activation, s.gate, s.up, dact, dgate, dup);
    Matrix df = w.ffn_norm ? dnormed : dx;
    if (w.ffn_norm) zero(df);
    project_backward(l, P::kUp, s.f, dup, df);
    project_backward(l, P::kGate, s.f, dgate, df);
    if (w.ffn_norm) rmsnorm_backward(s.h, w.ffn_norm, eps, df, dx, g.ffn_norm);

    zero(ds);
    project_backward(l, P::kO, s.s, dx, ds);
    const Matrix dout = norm_backward(s.o, w.attn_sub_norm, ds, dO, g.attn_sub_norm);
    attention_backward(shape, sequences, s.q, s.k, s.v, s.o, s.log_sums, dout, dq, dk, dv);
    rotary(state.rotary, slots, c.head_dim, dq, -1.0f);
    rotary(state.rotary, slots, c.head_dim, dk, -1.0f);
    const Matrix dq_raw = heads_norm_backward(s.q_raw, w.q_norm, dq, dO, g.q_norm);
    const Matrix dk_raw = heads_norm_backward(s.k_raw, w.k_norm, dk, dk_normed, g.k_norm);
    Matrix da = w.attn_norm ? dnormed : dx;
    if (w.attn_norm) zero(da);
    project_backward(l, P::kV, s.a, dv, da);
    project_backward(l, P::kK, s.a, dk_raw, da);
    project_backward(l, P::kQ, s.a, dq_raw, da);
    if (w.attn_norm) rmsnorm_backward(s.x, w.attn_norm, eps, da, dx, g.attn_norm);
    if (done) done(static_cast<int64_t>(l));
  }
  embedding_backward(tokens, dx, gradients.embedding);
  if (done) done(-1);
}

std::vector<TokenSlot> whole_sequences(int64_t sequences, int64_t length) {
  std::vector<TokenSlot> slots;
  slots.reserve(static_cast<size_t>(sequences * length));
  for (int32_t b = 0; b < sequences; ++b) {
    for (int32_t t = 0; t < length; ++t) slots.push_back({b, t});
  }
  return slots;
}

}  // namespace trit
