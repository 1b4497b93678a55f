#include "model/model.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/kv.h"
#include "model/parallel.h"

namespace trit {
namespace {

struct ProjectionNames {
  std::string_view hf, gguf;
};
constexpr std::array<ProjectionNames, kProjections> kProjectionNames = {{
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
}};

struct ProjectionShape {
  int64_t outputs, inputs;
};
ProjectionShape projection_shape(const Config& c, Projection projection) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  switch (projection) {
    case Projection::kQ:
      return {q, c.hidden};
    case Projection::kK:
    case Projection::kV:
      return {kv, c.hidden};
    case Projection::kO:
      return {c.hidden, q};
    case Projection::kGate:
    case Projection::kUp:
      return {c.ffn, c.hidden};
    case Projection::kDown:
      return {c.hidden, c.ffn};
  }
  return {};
}

constexpr int64_t kAlign = 16;  // floats: a cache line, so every tensor starts on one
int64_t aligned(int64_t count) { return (count + kAlign - 1) / kAlign * kAlign; }

class TableBuilder {
 public:
  void add(std::string hf, std::string gguf, Shape shape, TensorRole role, int layer = -1,
           Projection projection = Projection::kQ) {
    TensorRow row{std::move(hf), std::move(gguf), std::move(shape), role,
                  layer,         projection,      offset_};
    offset_ += aligned(row.count());
    rows_.push_back(std::move(row));
  }
  void add_norm(int layer, std::string_view hf, std::string_view gguf, int64_t size) {
    add(fmt::format("model.layers.{}.{}.weight", layer, hf),
        fmt::format("blk.{}.{}.weight", layer, gguf), {size}, TensorRole::kNorm, layer);
  }
  void add_projection(const Config& config, int layer, Projection projection) {
    const auto [hf, gguf] = kProjectionNames[static_cast<size_t>(projection)];
    const auto [outputs, inputs] = projection_shape(config, projection);
    add(fmt::format("model.layers.{}.{}.weight", layer, hf),
        fmt::format("blk.{}.{}.weight", layer, gguf), {outputs, inputs}, TensorRole::kProjection,
        layer, projection);
    if (config.inner_gains()) {
      add(fmt::format("model.layers.{}.{}.rms_norm.weight", layer, hf),
          fmt::format("blk.{}.{}_norm.weight", layer, gguf), {inputs}, TensorRole::kNorm, layer,
          projection);
    }
  }
  std::vector<TensorRow> rows_;

 private:
  int64_t offset_ = 0;
};

}  // namespace

std::vector<TensorRow> tensor_table(const Config& config) {
  TableBuilder table;
  table.add("model.embed_tokens.weight", "token_embd.weight", {config.vocabulary, config.hidden},
            TensorRole::kEmbedding);
  for (int layer = 0; layer < config.layers; ++layer) {
    if (config.block_norms()) table.add_norm(layer, "input_layernorm", "attn_norm", config.hidden);
    for (const Projection p : {Projection::kQ, Projection::kK, Projection::kV})
      table.add_projection(config, layer, p);
    if (config.qk_norms) {
      table.add_norm(layer, "self_attn.q_norm", "attn_q_norm", config.head_dim);
      table.add_norm(layer, "self_attn.k_norm", "attn_k_norm", config.head_dim);
    }
    if (config.sub_norms()) {
      table.add_norm(layer, "self_attn.attn_sub_norm", "attn_sub_norm",
                     config.heads * config.head_dim);
    }
    table.add_projection(config, layer, Projection::kO);
    if (config.block_norms())
      table.add_norm(layer, "post_attention_layernorm", "ffn_norm", config.hidden);
    for (const Projection p : {Projection::kGate, Projection::kUp})
      table.add_projection(config, layer, p);
    if (config.sub_norms()) table.add_norm(layer, "mlp.ffn_sub_norm", "ffn_sub_norm", config.ffn);
    table.add_projection(config, layer, Projection::kDown);
  }
  table.add("model.norm.weight", "output_norm.weight", {config.hidden}, TensorRole::kNorm);
  if (!config.tied) {
    table.add("lm_head.weight", "output.weight", {config.vocabulary, config.hidden},
              TensorRole::kHead);
  }
  return std::move(table.rows_);
}

int64_t flat_size(std::span<const TensorRow> table) {
  return table.empty() ? 0 : table.back().offset + aligned(table.back().count());
}

Weights empty_weights(const Config& config) {
  Weights weights;
  weights.config = config;
  weights.layers.resize(static_cast<size_t>(config.layers));
  for (LayerWeights& layer : weights.layers) {
    for (int p = 0; p < kProjections; ++p) {
      const auto [outputs, inputs] = projection_shape(config, static_cast<Projection>(p));
      Linear& linear = layer.projections[static_cast<size_t>(p)];
      linear.outputs = outputs;
      linear.inputs = inputs;
      linear.kind = config.weights;
      linear.input_kind = config.inputs;
      linear.inner_norm = config.inner_norms();
      linear.norm_epsilon = config.norm_epsilon;
    }
  }
  weights.head.outputs = config.vocabulary;
  weights.head.inputs = config.hidden;
  return weights;
}

namespace {

// The place of a norm's gain in the weights.
template <class AnyWeights>
auto& norm_of(AnyWeights& weights, const TensorRow& row) {
  if (row.layer < 0) return weights.final_norm;
  auto& layer = weights.layers[static_cast<size_t>(row.layer)];
  if (row.hf_name.ends_with(".rms_norm.weight")) {
    return layer.projections[static_cast<size_t>(row.projection)].norm_gain;
  }
  if (row.hf_name.ends_with(".input_layernorm.weight")) return layer.attn_norm;
  if (row.hf_name.ends_with(".post_attention_layernorm.weight")) return layer.ffn_norm;
  if (row.hf_name.ends_with(".attn_sub_norm.weight")) return layer.attn_sub_norm;
  if (row.hf_name.ends_with(".q_norm.weight")) return layer.q_norm;
  if (row.hf_name.ends_with(".k_norm.weight")) return layer.k_norm;
  return layer.ffn_sub_norm;
}

}  // namespace

bool is_packed(const Config& config, const TensorRow& row) {
  return row.role == TensorRole::kProjection && config.weights != WeightKind::kFloat;
}

void point_at(Weights& weights, const TensorRow& row, const StoredMatrix& stored) {
  switch (row.role) {
    case TensorRole::kEmbedding:
      weights.embedding = stored;
      if (weights.config.tied) weights.head.dense = stored;
      break;
    case TensorRole::kHead:
      weights.head.dense = stored;
      break;
    case TensorRole::kProjection:
      weights.layers[static_cast<size_t>(row.layer)][row.projection].dense = stored;
      break;
    case TensorRole::kNorm:
      TRIT_CHECK(stored.is(DType::kF32));
      norm_of(weights, row) = static_cast<const float*>(stored.data);
      break;
  }
}

StoredMatrix stored_at(const Weights& weights, const TensorRow& row) {
  switch (row.role) {
    case TensorRole::kEmbedding:
      return weights.embedding;
    case TensorRole::kHead:
      return weights.head.dense;
    case TensorRole::kProjection:
      return weights.layers[static_cast<size_t>(row.layer)][row.projection].dense;
    case TensorRole::kNorm:
      break;
  }
  return {norm_of(weights, row), DType::kF32};
}

void point_into(Weights& weights, std::span<const TensorRow> table, const float* flat) {
  for (const TensorRow& row : table) point_at(weights, row, {flat + row.offset, DType::kF32});
}

WholeKvCache::WholeKvCache(const Config& config, KvType type, int64_t sequences, int64_t positions,
                           bool shared) {
  const AttentionShape shape{config.heads, config.kv_heads, config.head_dim};
  const int64_t pages = kernels::pages_of(positions), count = sequences * pages;
  const int64_t page_bytes = kv_page_bytes(type, shape), layer_bytes = count * page_bytes;
  memory_ = Buffer<std::byte>(static_cast<size_t>(layer_bytes * (shared ? 1 : config.layers)));
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    view_.layers.push_back({type, memory_.data() + (shared ? 0 : layer * layer_bytes), page_bytes,
                            kv_head_bytes(type, shape)});
  }
  for (int32_t page = 0; page < count; ++page) pages_.push_back(page);
  for (int64_t sequence = 0; sequence < sequences; ++sequence) {
    tables_.push_back(std::span(pages_).subspan(static_cast<size_t>(sequence * pages),
                                                static_cast<size_t>(pages)));
  }
}

State::State(const Config& config, Pass pass, int64_t sequences, int64_t positions,
             int64_t max_rows)
    : rotary(config.head_dim, config.rope_theta, positions),
      own_kv_(config, KvType::kF32, sequences, positions, pass != Pass::kContinue),
      config_(config),
      ranks_(&alone()),
      pass_(pass),
      max_rows_(max_rows) {
  kv = own_kv_.view();
  lay_out();
}

State::State(const Config& config, KvCache cache, int64_t positions, int64_t max_rows,
             const Ranks* ranks)
    : kv(std::move(cache)),
      rotary(config.head_dim, config.rope_theta, positions),
      config_(config),
      ranks_(ranks == nullptr ? &alone() : ranks),
      pass_(Pass::kContinue),
      max_rows_(max_rows) {
  lay_out();
}

void State::lay_out() {
  workspace.training = pass_ == Pass::kTraining;
  layers.resize(static_cast<size_t>(config_.layers));
  // Lay out the widest case once to learn the size, then for real.
  resize(max_rows_);
  memory_ = Buffer<float>(static_cast<size_t>(used_));
  resize(max_rows_);
}

Matrix State::take(int64_t columns) {
  Matrix matrix{memory_.data() == nullptr ? nullptr : memory_.data() + used_, rows_, columns};
  used_ += aligned(max_rows_ * columns);
  return matrix;
}

void State::resize(int64_t rows) {
  TRIT_CHECK(rows <= max_rows_);
  rows_ = rows;
  used_ = 0;
  const Config& c = config_;
  const Config part = part_of(c, *ranks_);
  const bool alone = ranks_->tensor_size() == 1;
  const int64_t query = c.heads * c.head_dim;
  const int64_t query_part = part.heads * c.head_dim, kv = part.kv_heads * c.head_dim;
  for (size_t l = 0; l < layers.size(); ++l) {
    LayerActivations& a = layers[l];
    if (l > 0 && !keeps()) {
      a = layers[0];
      continue;
    }
    a.x = take(c.hidden);
    a.a = c.block_norms() ? take(c.hidden) : a.x;
    a.q = take(query_part);
    a.k = take(kv);
    a.q_raw = c.qk_norms ? take(query_part) : a.q;
    a.k_raw = c.qk_norms ? take(kv) : a.k;
    a.v = take(kv);
    a.log_sums = take(part.heads).data;
    a.o = take(query);
    a.o_part = alone ? a.o : take(query_part);
    a.s = c.sub_norms() ? take(query) : a.o;
    a.h = take(c.hidden);
    a.f = c.block_norms() ? take(c.hidden) : a.h;
    a.gate = take(part.ffn);
    a.up = take(part.ffn);
    a.m = take(c.ffn);
    a.m_part = alone ? a.m : take(part.ffn);
    a.n = c.sub_norms() ? take(c.ffn) : a.m;
  }
  output = keeps() ? take(c.hidden) : layers[0].x;
  hidden = take(c.hidden);
}

}  // namespace trit
