#include "model/cuda/forward.h"

#include <algorithm>
#include <bit>
#include <span>

#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

Epilogue glu_of(Activation activation) {
  return activation == Activation::kSilu ? Epilogue::kSiluMul : Epilogue::kRelu2Mul;
}

// Products of one input x [N, columns], rows stride apart, and what the product that made a single row left for them.
struct Input {
  const float* x;
  int64_t stride, columns;
  Handed handed = {};
};
// Where a product goes [N, ..], and what a single row leaves for the next, whose norm has this gain.
struct Output {
  float* y;
  int64_t stride;
  const float* gain = nullptr;
  Handed handed = {};
};

class Pass {
 public:
  Pass(StreamHandle stream, const DeviceWeights& weights, int64_t rows, DeviceState& state)
      : stream_(stream), weights_(weights), rows_(rows), state_(state) {}

  // y (+)= product(norm(x)); float products want their input normed into `normed` first.
  void multiply(const DeviceProduct& product, const Norm& norm, const Input& in, float* normed,
                Epilogue epilogue, const Output& out) {
    if (single(product, norm)) {
      ternary_linear_single(stream_, product.levels, {in.x, norm_of(product, norm), in.handed},
                            epilogue, {out.y, out.gain, out.handed}, state_.scratch);
      return;
    }
    if (product.ternary()) {
      QuantizedRows q = state_.q;
      q.q_stride = mma_blocks(in.columns) * kMmaInputs;
      quantize_rows(stream_, in.x, in.stride, rows_, in.columns, norm, product.inner, q,
                    state_.scratch);
      ternary_linear(stream_, product.levels, q, rows_, epilogue, out.y, out.stride,
                     state_.scratch);
      return;
    }
    if (!product.inner.there && norm.there && rows_ <= kSmallRows) {
      dense_linear_fused(stream_, norm, product.dense, in.x, in.stride, rows_, epilogue, out.y,
                         out.stride, state_.scratch);
      return;
    }
    const float* x = in.x;
    for (const Norm& one : {norm, product.inner}) {
      if (!one.there) continue;
      rmsnorm_rows(stream_, x, in.stride, rows_, in.columns, one, normed, in.stride);
      x = normed;
    }
    dense_linear(stream_, product.dense, x, in.stride, rows_, epilogue, out.y, out.stride,
                 state_.scratch);
  }

  // next: the layer behind it, or null.
  void layer(const DeviceLayer& w, const DeviceLayer* next, const KvLayer& cache,
             const RowSlots& slots) {
    const Config &c = weights_.config, &part = weights_.part;
    const HeadShape shape{part.heads, part.kv_heads, part.head_dim};
    const int64_t query = c.heads * c.head_dim, C = weights_.hidden_width, F = weights_.ffn_width;
    const Columns o_part = columns(state_.o, query, query), m_part = columns(state_.m, c.ffn, F);
    const Input x{state_.x, C, c.hidden, handed_x_}, o{state_.o, query, query};

    // h = x + Wo s(attend(rope(Wq a), rope(Wk a), Wv a)),  a = norm(x)
    for (const DeviceProduct& product : w.qkv)
      multiply(product, w.attn_norm, x, state_.a, Epilogue::kStore,
               {state_.qkv + product.first, weights_.qkv_width});
    const Rotation rotation{weights_.qkv_columns, w.q_norm, w.k_norm, state_.cosine, state_.sine};
    rotate_and_attend(stream_, shape, state_.qkv, weights_.qkv_width, rows_, rotation, slots, cache,
                      o_part.y, o_part.stride, state_.scratch);
    gather(o_part, Epilogue::kStore, state_.o, query);
    const Output to_h =
        to({state_.x, C}, w.o, w.attn_sub_norm, w.gate_up, w.ffn_norm, state_.x_handed);
    multiply_and_add(w.o, w.attn_sub_norm, o, state_.o, to_h);

    // x' = h + Wdown n(act(Wgate f) * (Wup f)),  f = norm(h)
    const Input h{state_.x, C, c.hidden, to_h.handed};
    const Epilogue glu = glu_of(c.activation);
    Output to_m{m_part.y, m_part.stride};
    if (w.gate_up.size() == 1) {
      to_m = to(to_m, w.gate_up[0], w.ffn_norm, {&w.down, 1}, w.ffn_sub_norm, state_.m_handed);
      multiply(w.gate_up[0], w.ffn_norm, h, state_.a, glu, to_m);
    } else {
      const int64_t P = m_part.stride;
      multiply(w.gate_up[0], w.ffn_norm, h, state_.a, Epilogue::kStore, {state_.gate, P});
      multiply(w.gate_up[1], w.ffn_norm, h, state_.a, Epilogue::kStore, {state_.up, P});
      gate_rows(stream_, state_.gate, state_.up, rows_, P, P, glu, m_part.y);
    }
    gather(m_part, Epilogue::kStore, state_.m, F);
    Output to_x{state_.x, C};
    if (next != nullptr)
      to_x = to(to_x, w.down, w.ffn_sub_norm, next->qkv, next->attn_norm, state_.x_handed);
    multiply_and_add(w.down, w.ffn_sub_norm, {state_.m, F, c.ffn, to_m.handed}, state_.m, to_x);
    handed_x_ = to_x.handed;
  }

 private:
  // Where this rank writes its columns of [N, columns]: in their place when it has all of them.
  struct Columns {
    float* y;
    int64_t stride, count;
  };
  Columns columns(float* whole, int64_t count, int64_t stride) const {
    if (!weights_.ranks.divides_rows()) return {whole, stride, count};
    return {state_.part, weights_.ranks.part_stride(count), count};
  }
  // whole = or += the columns of all ranks.
  void gather(const Columns& mine, Epilogue epilogue, float* whole, int64_t stride) {
    if (mine.y == whole) return;
    weights_.ranks.gather_columns(stream_, mine.y, state_.all_parts, rows_, mine.count, epilogue,
                                  whole, stride);
  }
  // x += product(norm(in)); whole: x, and what is left for the next product where this rank has all of it.
  void multiply_and_add(const DeviceProduct& product, const Norm& norm, const Input& in,
                        float* normed, const Output& whole) {
    const Columns y = columns(state_.x, weights_.config.hidden, weights_.hidden_width);
    if (y.y == state_.x) return multiply(product, norm, in, normed, Epilogue::kAdd, whole);
    multiply(product, norm, in, normed, Epilogue::kStore, {y.y, y.stride});
    gather(y, Epilogue::kAdd, state_.x, weights_.hidden_width);
  }

  static const Norm& norm_of(const DeviceProduct& product, const Norm& norm) {
    return norm.there ? norm : product.inner;
  }
  // The product quantises the row itself.
  bool single(const DeviceProduct& product, const Norm& norm) const {
    return rows_ == 1 && product.ternary() && !(norm.there && product.inner.there) &&
           product.levels.columns <= ternary_single_columns();
  }
  // `out` of a product, with what it can leave for the products that take it.
  Output to(Output out, const DeviceProduct& product, const Norm& norm,
            std::span<const DeviceProduct> takers, const Norm& taker_norm,
            const Handed& room) const {
    if (!weights_.ranks.divides_rows() && takers.size() == 1 && single(product, norm) &&
        single(takers[0], taker_norm)) {
      out.gain = norm_of(takers[0], taker_norm).gain;
      out.handed = room;
    }
    return out;
  }

  StreamHandle stream_;
  const DeviceWeights& weights_;
  int64_t rows_;
  DeviceState& state_;
  Handed handed_x_;  // for the next layer
};

// Places in one piece of memory; first without it, to learn its size.
class Layout {
 public:
  explicit Layout(std::byte* base) : base_(base) {}
  template <class T>
  T* take(int64_t count) {
    T* at = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return at;
  }
  int64_t used() const { return used_; }

 private:
  std::byte* base_;
  int64_t used_ = 0;
};

int64_t scratch_bytes(const DeviceWeights& w, int64_t rows, int64_t head_rows, int64_t context) {
  const Config& c = w.part;
  const HeadShape shape{c.heads, c.kv_heads, c.head_dim};
  // Attention makes do with less, in more calls.
  const int64_t attention =
      std::min(attention_scratch_bytes(shape, rows, context),
               std::max<int64_t>(attention_scratch_bytes(shape, 1, context) * kSmallRows,
                                 int64_t{64} << 20));
  int64_t most = attention;
  // Fewer rows may take more: they are divided into more parts.
  const int64_t candidates = std::min<int64_t>(64, c.vocabulary);
  for (int64_t T = 1; T <= head_rows; ++T)
    most = std::max(most, top_logits_scratch_bytes(T, c.vocabulary, candidates));
  if (w.head.rows > 0)
    most = std::max(most, dense_scratch_bytes(w.head, head_rows, Epilogue::kStore));
  const auto dense = [&](const DeviceProduct& product, Epilogue epilogue) {
    if (!product.ternary())
      most = std::max(most, dense_scratch_bytes(product.dense, rows, epilogue));
  };
  for (const DeviceProduct& product : w.layers[0].qkv) dense(product, Epilogue::kStore);
  for (const DeviceProduct& product : w.layers[0].gate_up)
    dense(product, w.layers[0].gate_up.size() == 1 ? glu_of(c.activation) : Epilogue::kStore);
  dense(w.layers[0].o, Epilogue::kAdd);
  dense(w.layers[0].down, Epilogue::kAdd);
  return most;
}

}  // namespace

DeviceState::DeviceState(const DeviceWeights& w, DeviceKvCache cache, int64_t max_rows,
                         int64_t context)
    : kv(std::move(cache)),
      max_rows_(max_rows),
      head_dim_(w.config.head_dim),
      theta_(w.config.rope_theta) {
  const Config& c = w.config;
  const int64_t query = c.heads * c.head_dim, N = max_rows;
  const int64_t widest = std::max({c.hidden, query, c.ffn});
  const bool apart = w.layers[0].gate_up.size() > 1;
  const bool divided = w.ranks.divides_rows();
  const auto part_floats = [&](int64_t rows, int64_t columns) {
    return divided ? rows * w.ranks.part_stride(columns) : 0;
  };
  const int64_t parts = std::max(part_floats(N, widest), part_floats(head_rows(), c.vocabulary));
  scratch.bytes = scratch_bytes(w, N, head_rows(), context);
  const auto lay_out = [&](std::byte* base) {
    Layout memory(base);
    tokens = memory.take<int32_t>(N);
    x = memory.take<float>(N * w.hidden_width);
    a = memory.take<float>(N * w.hidden_width);
    qkv = memory.take<float>(N * w.qkv_width);
    o = memory.take<float>(N * query);
    m = memory.take<float>(N * w.ffn_width);
    gate = apart ? memory.take<float>(N * w.ffn_width) : nullptr;
    up = apart ? memory.take<float>(N * w.ffn_width) : nullptr;
    x_handed = {memory.take<float>(w.hidden_width), memory.take<double>(w.hidden_width / 8)};
    m_handed = {memory.take<float>(w.ffn_width), memory.take<double>(w.ffn_width / 8)};
    part = memory.take<float>(parts);
    all_parts = memory.take<float>(parts * w.ranks.ranks().tensor_size());
    q.q = memory.take<int8_t>(N * mma_blocks(widest) * kMmaInputs);
    q.step = memory.take<double>(N);
    q.sum = memory.take<int32_t>(N);
    scratch.not_finite = memory.take<int32_t>(1);
    scratch.counters = memory.take<uint32_t>(kCounters);
    scratch.memory = memory.take<std::byte>(scratch.bytes);
    return memory.used();
  };
  memory_ = DeviceMemory(lay_out(nullptr));
  lay_out(memory_.data());
  fill(x, 0, N * w.hidden_width * 4, nullptr);  // what is past hidden stays zero
  fill(scratch.not_finite, 0, 4, nullptr);
  fill(scratch.counters, 0, kCounters * 4, nullptr);
  wait(nullptr);
}

bool DeviceState::reach(int64_t positions, StreamHandle stream) {
  if (positions <= positions_) return false;
  positions_ =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(positions, 256))));
  const RotaryTable table(head_dim_, theta_, positions_);
  const int64_t bytes = positions_ * head_dim_ / 2 * static_cast<int64_t>(sizeof(float));
  rotary_ = DeviceMemory(2 * bytes);
  cosine = rotary_.as<float>();
  sine = cosine + positions_ * head_dim_ / 2;
  copy_to_device(cosine, table.cosine(0), bytes, stream);
  copy_to_device(sine, table.sine(0), bytes, stream);
  wait(stream);
  return true;
}

void forward(StreamHandle stream, const DeviceWeights& weights, int64_t rows, const RowSlots& slots,
             DeviceState& state) {
  const Ranks& ranks = weights.ranks.ranks();
  const int64_t C = weights.hidden_width;
  if (ranks.first_stage())
    embed(stream, weights.embedding, state.tokens, rows, state.x, C);
  else
    weights.ranks.receive_rows(stream, state.x, rows * C);
  Pass pass(stream, weights, rows, state);
  const size_t layers = weights.layers.size();
  for (size_t l = 0; l < layers; ++l)
    pass.layer(weights.layers[l], l + 1 < layers ? &weights.layers[l + 1] : nullptr,
               state.kv.layers[l], slots);
  if (ranks.last_stage())
    rmsnorm_rows(stream, state.x, C, rows, weights.config.hidden, weights.final_norm, state.a, C);
  else
    weights.ranks.send_rows(stream, state.x, rows * C);
}

void logits(StreamHandle stream, const DeviceWeights& weights, const float* hidden, int64_t rows,
            float* out, const DeviceState& state) {
  const int64_t V = weights.config.vocabulary;
  const bool divided = weights.ranks.divides_rows();
  float* y = divided ? state.part : out;
  dense_linear(stream, weights.head, hidden, weights.hidden_width, rows, Epilogue::kStore, y,
               divided ? weights.ranks.part_stride(V) : V, state.scratch);
  if (divided)
    weights.ranks.gather_columns(stream, y, state.all_parts, rows, V, Epilogue::kStore, out, V);
}

}  // namespace trit::cuda
