#include "model/cuda/training.h"

#include <algorithm>

#include "base/error.h"
#include "ops/attention.h"

namespace trit::cuda {
namespace {

// Logits exist for as many rows at a time as this holds.
constexpr int64_t kLogitsBytes = int64_t{512} << 20;

Rows from_row(const Rows& rows, int64_t row) { return columns_from(rows, row * rows.stride); }

HeadShape head_shape(const Config& c) { return {c.heads, c.kv_heads, c.head_dim}; }

Epilogue activation_of(const Config& c) {
  return c.activation == Activation::kSilu ? Epilogue::kSiluMul : Epilogue::kRelu2Mul;
}

template <class Visit>
void for_each_product(const TrainedWeights& weights, const Visit& visit) {
  for (const TrainedLayer& layer : weights.layers) {
    std::ranges::for_each(layer.qkv, visit);
    visit(layer.o);
    std::ranges::for_each(layer.gate_up, visit);
    visit(layer.down);
  }
}

}  // namespace

Training::Training(const TrainedWeights& weights, const TrainingPass& pass, StreamHandle stream)
    : weights_(weights), pass_(pass), stream_(stream), N_(pass.rows()) {
  const Config& c = weights.config;
  TRIT_CHECK(N_ > 0);
  const int64_t row_bytes = padded(c.vocabulary) * float_bytes(pass.type);
  chunk_ =
      std::clamp<int64_t>(kLogitsBytes / row_bytes / 128 * 128, 128, std::max<int64_t>(N_, 128));
  chunk_ = std::min(chunk_, N_);
  Arena measured;
  lay_out(measured);
  memory_ = DeviceMemory(measured.used());
  // Columns past a matrix are read and multiplied by zeros: they must be numbers.
  fill(memory_.data(), 0, memory_.bytes(), stream);
  Arena arena(memory_.data());
  lay_out(arena);
  const RotaryTable rotary(c.head_dim, c.rope_theta, pass.length);
  const int64_t bytes = pass.length * c.head_dim / 2 * 4;
  copy_to_device(const_cast<float*>(cosine_), rotary.cosine(0), bytes, stream);
  copy_to_device(const_cast<float*>(sine_), rotary.sine(0), bytes, stream);
  wait(stream);
}

Training::Input Training::lay_out_input(Arena& arena, const TrainedProduct& product,
                                        const Rows& from) const {
  Input input;
  // A float product without a norm multiplies what it is given.
  input.values = product.ternary() || product.norm.there ? rows(arena, product.inputs) : from;
  if (product.norm.there) input.inverse_rms = arena.take<float>(N_);
  return input;
}

Training::Layer Training::lay_out_layer(Arena& arena) const {
  const Config& c = weights_.config;
  const TrainedLayer& w = weights_.layers.front();
  Layer layer;
  for (const TrainedProduct& p : w.qkv) layer.of_qkv.push_back(lay_out_input(arena, p, {}));
  layer.qkv = rows(arena, weights_.qkv_width);
  layer.o = rows(arena, c.heads * c.head_dim);
  layer.log_sums = arena.take<float>(N_ * c.heads);
  layer.of_o = lay_out_input(arena, w.o, layer.o);
  layer.h = rows(arena, c.hidden);
  for (const TrainedProduct& p : w.gate_up) layer.of_gate_up.push_back(lay_out_input(arena, p, {}));
  layer.gate_up = rows(arena, 2 * weights_.ffn_width);
  if (!fuses_) layer.m = rows(arena, weights_.ffn_width);
  layer.of_down = lay_out_input(arena, w.down, layer.m);
  return layer;
}

void Training::lay_out(Arena& arena) {
  const Config& c = weights_.config;
  const Rows aligned{nullptr, weights_.ffn_width, pass_.type};
  fuses_ = weights_.layers.front().down.ternary() && c.ffn == weights_.ffn_width &&
           pass_.type == Float::kBF16 &&
           gated_rows_fuse(GatePlaces::kHalves, c.ffn, {aligned, aligned});
  tokens = arena.take<int32_t>(N_);
  targets = arena.take<int32_t>(N_);
  order = arena.take<int32_t>(N_);
  losses = arena.take<float>(N_);
  cosine_ = arena.take<float>(pass_.length * c.head_dim / 2);
  sine_ = arena.take<float>(pass_.length * c.head_dim / 2);
  layers_.clear();
  for (int64_t l = 0; l < c.layers; ++l) {
    layers_.push_back(l > 0 && pass_.recompute ? layers_.front() : lay_out_layer(arena));
    layers_.back().x = rows(arena, c.hidden);
  }
  output_ = rows(arena, c.hidden);
  hidden_ = rows(arena, c.hidden);
  output_inverse_rms_ = arena.take<float>(N_);
  logits_ = arena.rows(chunk_, padded(c.vocabulary), pass_.type);
  dx_ = rows(arena, c.hidden);
  dinput_ = rows(arena, c.hidden);
  dqkv_ = rows(arena, weights_.qkv_width);
  do_ = rows(arena, c.heads * c.head_dim);
  dm_ = rows(arena, weights_.ffn_width);

  int64_t widest = 0, largest = 0, norms = 0;
  for_each_product(weights_, [&](const TrainedProduct& p) {
    if (p.ternary()) {
      widest = std::max(widest, (p.inputs + 127) / 128 * 128);
      largest = std::max(largest, p.width * padded(p.inputs));
    }
    norms = std::max(norms, norm_scratch_bytes(p.inputs));
  });
  unpacked_ = arena.take<std::byte>(largest * float_bytes(pass_.type));
  q_ = {arena.take<int8_t>(N_ * widest), widest, arena.take<double>(N_), arena.take<int32_t>(N_)};
  const SequenceBatch batch{pass_.sequences, pass_.length};
  scratch_.bytes = std::max({multiply_scratch_bytes(), norms, norm_scratch_bytes(c.hidden),
                             gradient_norm_scratch_bytes(),
                             causal_attention_scratch_bytes(head_shape(c), batch, pass_.type)});
  scratch_.memory = arena.take<std::byte>(scratch_.bytes);
  scratch_.counters = arena.take<uint32_t>(kCounters);
  scratch_.not_finite = arena.take<int32_t>(1);
}

Training::Heads Training::heads(const Rows& qkv) const {
  return {columns_from(qkv, weights_.q_column), columns_from(qkv, weights_.k_column),
          columns_from(qkv, weights_.v_column)};
}

// ---- Forward ----

QuantizedRows Training::quantized(const TrainedProduct& p) const {
  QuantizedRows q = q_;
  q.q_stride = (p.inputs + 127) / 128 * 128;
  return q;
}

void Training::multiply_forward(const TrainedProduct& p, ConstRows x, const Input& input,
                                ConstRows add, Rows y) const {
  if (p.ternary()) {
    quantize_activations(stream_, x, N_, p.inputs, p.norm, {}, quantized(p),
                         {.dequantised = input.values, .outer_inverse_rms = input.inverse_rms},
                         scratch_);
    ternary_forward(stream_, p.levels, quantized(p), N_, add, y);
    return;
  }
  if (p.norm.there)
    rmsnorm_forward(stream_, x, N_, p.inputs, p.norm.gain, p.norm.epsilon, input.values,
                    input.inverse_rms);
  for (const TrainedProduct::Floats& w : p.floats) {
    const ConstRows sum = add.data == nullptr ? add : columns_from(add, w.first);
    multiply(stream_,
             {.M = N_,
              .N = w.outputs,
              .K = w.columns,
              .a = input.values,
              .b = w.rows,
              .b_turned = true,
              .c = sum,
              .d = columns_from(y, w.first)},
             scratch_);
  }
}

// out = h + Wdown n(act(gate) up)
void Training::down_forward(const TrainedProduct& down, const Layer& s, Rows out) const {
  const int64_t F = weights_.ffn_width;
  const Epilogue activation = activation_of(weights_.config);
  if (!fuses_) {
    glu_forward(stream_, s.gate_up, GatePlaces::kHalves, N_, F, activation, s.m);
    return multiply_forward(down, s.m, s.of_down, s.h, out);
  }
  glu_quantize(
      stream_, s.gate_up, GatePlaces::kHalves, N_, F, activation, down.norm, quantized(down),
      {.dequantised = s.of_down.values, .outer_inverse_rms = s.of_down.inverse_rms}, scratch_);
  ternary_forward(stream_, down.levels, quantized(down), N_, s.h, out);
}

// As the CPU's (model/transformer.cpp):
//   h = x + Wo s(attend(rope(Wq a), rope(Wk a), Wv a)),  a = norm(x)
//   out = h + Wdown n(act(Wgate f) * (Wup f)),           f = norm(h)
void Training::layer_forward(size_t l) const {
  const Config& c = weights_.config;
  const TrainedLayer& w = weights_.layers[l];
  const Layer& s = layers_[l];
  const Heads of = heads(s.qkv);
  for (size_t i = 0; i < w.qkv.size(); ++i) {
    const int64_t columns[] = {weights_.q_column, weights_.k_column, weights_.v_column};
    multiply_forward(w.qkv[i], s.x, s.of_qkv[i], {}, columns_from(s.qkv, columns[i]));
  }
  rotate_positions(stream_, of.q, N_, pass_.length, c.heads, c.head_dim, cosine_, sine_, 1.0f);
  rotate_positions(stream_, of.k, N_, pass_.length, c.kv_heads, c.head_dim, cosine_, sine_, 1.0f);
  causal_attention(stream_, head_shape(c), {pass_.sequences, pass_.length}, of.q, of.k, of.v, s.o,
                   s.log_sums);
  multiply_forward(w.o, s.o, s.of_o, s.x, s.h);
  for (size_t i = 0; i < w.gate_up.size(); ++i)
    multiply_forward(w.gate_up[i], s.h, s.of_gate_up[i], {},
                     columns_from(s.gate_up, static_cast<int64_t>(i) * weights_.ffn_width));
  down_forward(w.down, s, output_of(l));
}

void Training::forward() const {
  const Config& c = weights_.config;
  embedding_forward(stream_, weights_.embedding, tokens, N_, c.hidden, layers_.front().x);
  for (size_t l = 0; l < layers_.size(); ++l) layer_forward(l);
  rmsnorm_forward(stream_, output_, N_, c.hidden, weights_.final_norm.gain,
                  weights_.final_norm.epsilon, hidden_, output_inverse_rms_);
}

// Leaves the gradient of the rows' logits in logits_.
void Training::losses_of_rows(int64_t begin, int64_t rows, float gradient_scale) const {
  const Config& c = weights_.config;
  for (const TrainedProduct::Floats& w : weights_.head.floats)
    multiply(stream_,
             {.M = rows,
              .N = w.outputs,
              .K = w.columns,
              .a = from_row(hidden_, begin),
              .b = w.rows,
              .b_turned = true,
              .d = logits_},
             scratch_);
  cross_entropy(stream_, logits_, rows, c.vocabulary, targets + begin, gradient_scale,
                losses + begin);
}

void Training::forward_losses() const {
  forward();
  for (int64_t begin = 0; begin < N_; begin += chunk_)
    losses_of_rows(begin, std::min(chunk_, N_ - begin), 0.0f);
}

// ---- Backward ----

// dW (+)= dy^T input, of rows `count`; parts that follow each other in both the flat array and dy at once.
void Training::weight_gradients(const TrainedProduct& p, ConstRows input, ConstRows dy,
                                int64_t count, bool first) const {
  for (size_t i = 0; i < p.parts.size();) {
    const TrainedProduct::Part& part = p.parts[i];
    int64_t outputs = part.outputs;
    for (++i; i < p.parts.size(); ++i) {
      const TrainedProduct::Part& next = p.parts[i];
      if (next.first != part.first + outputs || next.offset != part.offset + outputs * p.inputs)
        break;
      outputs += next.outputs;
    }
    const Rows gradient{weights_.gradients + part.offset, p.inputs, Float::kF32};
    multiply(stream_,
             {.M = outputs,
              .N = p.inputs,
              .K = count,
              .a = columns_from(dy, part.first),
              .b = input,
              .a_turned = true,
              .c = first ? ConstRows{} : ConstRows(gradient),
              .d = gradient},
             scratch_);
  }
}

// dinput = dy W
void Training::input_gradients(const TrainedProduct& p, ConstRows dy, Rows dinput) const {
  std::vector<TrainedProduct::Floats> weights = p.floats;
  if (p.ternary()) {
    const Rows all{unpacked_, padded(p.inputs), pass_.type};
    if (all.stride != p.inputs)
      fill(unpacked_, 0, p.width * all.stride * float_bytes(all.type), stream_);
    unpack_levels(stream_, p.levels, true, all);
    weights = {{all, p.width, 0, all.stride}};
  }
  for (const TrainedProduct::Floats& w : weights)
    multiply(stream_,
             {.M = N_,
              .N = w.columns,
              .K = w.outputs,
              .a = columns_from(dy, w.first),
              .b = w.rows,
              .c = &w == &weights.front() ? ConstRows{} : ConstRows(dinput),
              .d = dinput},
             scratch_);
}

void Training::multiply_backward(const TrainedProduct& p, ConstRows x, const Input& input,
                                 ConstRows dy, Rows dx, bool residual, bool first) const {
  TRIT_CHECK(!residual || p.norm.there);
  const Rows dinput = residual ? dinput_ : dx;
  weight_gradients(p, input.values, dy, N_, first);
  input_gradients(p, dy, dinput);
  if (p.norm.there)
    rmsnorm_backward(stream_, x, input.inverse_rms, N_, p.inputs, p.norm.gain, dinput, dx, residual,
                     p.norm_gradient, scratch_);
}

// Leaves the gradients of gate and up in their places.
void Training::down_backward(const TrainedProduct& down, const Layer& s, bool first) const {
  const int64_t F = weights_.ffn_width;
  const Epilogue activation = activation_of(weights_.config);
  if (fuses_ && down.norm.there) {
    weight_gradients(down, s.of_down.values, dx_, N_, first);
    input_gradients(down, dx_, dm_);
    return glu_norm_backward(stream_, s.gate_up, GatePlaces::kHalves, N_, F, activation,
                             s.of_down.inverse_rms, down.norm.gain, dm_, s.gate_up,
                             down.norm_gradient, scratch_);
  }
  multiply_backward(down, s.m, s.of_down, dx_, dm_, false, first);
  glu_backward(stream_, s.gate_up, GatePlaces::kHalves, N_, F, activation, dm_, s.gate_up);
}

void Training::layer_backward(size_t l, bool first) const {
  const Config& c = weights_.config;
  const TrainedLayer& w = weights_.layers[l];
  const Layer& s = layers_[l];
  if (pass_.recompute && l + 1 < layers_.size()) layer_forward(l);  // over what enters the next one

  down_backward(w.down, s, first);
  for (size_t i = w.gate_up.size(); i-- > 0;)
    multiply_backward(w.gate_up[i], s.h, s.of_gate_up[i],
                      columns_from(s.gate_up, static_cast<int64_t>(i) * weights_.ffn_width), dx_,
                      true, first);

  multiply_backward(w.o, s.o, s.of_o, dx_, do_, false, first);
  const Heads of = heads(s.qkv), d = heads(dqkv_);
  causal_attention_backward(stream_, head_shape(c), {pass_.sequences, pass_.length}, of.q, of.k,
                            of.v, s.o, s.log_sums, do_, d.q, d.k, d.v, scratch_, {cosine_, sine_});
  for (size_t i = w.qkv.size(); i-- > 0;) {
    const int64_t columns[] = {weights_.q_column, weights_.k_column, weights_.v_column};
    multiply_backward(w.qkv[i], s.x, s.of_qkv[i], columns_from(dqkv_, columns[i]), dx_, true,
                      first);
  }
}

// dinput_ of these rows from the gradient of their logits.
void Training::head_backward(int64_t begin, int64_t rows, bool first) const {
  const TrainedProduct& head = weights_.head;
  for (const TrainedProduct::Floats& w : head.floats)
    multiply(stream_,
             {.M = rows,
              .N = w.columns,
              .K = w.outputs,
              .a = logits_,
              .b = w.rows,
              .d = from_row(dinput_, begin)},
             scratch_);
  weight_gradients(head, from_row(hidden_, begin), logits_, rows, first);
}

void Training::forward_backward(float gradient_scale, bool first) const {
  const Config& c = weights_.config;
  if (first) {
    for (const TrainedWeights::Run& run : weights_.added_to)
      fill(weights_.gradients + run.begin, 0, run.count * 4, stream_);
  }
  forward();
  for (int64_t begin = 0; begin < N_; begin += chunk_) {
    const int64_t rows = std::min(chunk_, N_ - begin);
    losses_of_rows(begin, rows, gradient_scale);
    head_backward(begin, rows, first && begin == 0);
  }
  rmsnorm_backward(stream_, output_, output_inverse_rms_, N_, c.hidden, weights_.final_norm.gain,
                   dinput_, dx_, false, weights_.final_norm_gradient, scratch_);
  for (size_t l = layers_.size(); l-- > 0;) layer_backward(l, first);
  embedding_backward(stream_, tokens, order, N_, c.hidden, dx_, weights_.embedding_gradient);
}

}  // namespace trit::cuda
