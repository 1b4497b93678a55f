#include "model/cuda/trained_weights.h"

#include <algorithm>

#include "base/error.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

using P = Projection;

void check_form(const Config& c) {
  if (c.weights != WeightKind::kFloat && c.inputs != InputKind::kInt8)
    bad_input("--device cuda: layers with {} inputs are trained nowhere", to_string(c.inputs));
  if (c.qk_norms) bad_input("--device cuda: models with norms of q and k are trained on the CPU");
  if (c.norms == NormForm::kBlockInner)
    bad_input("--device cuda: models with '{}' norms are trained on the CPU", to_string(c.norms));
  if (c.head_dim > 128 || c.head_dim % 4 != 0)
    bad_input("--device cuda: heads of size {}; they must be multiples of 4 up to 128", c.head_dim);
}

}  // namespace

TrainedWeights::TrainedWeights(const Config& c, Float type, StreamHandle stream)
    : config(c), table(tensor_table(c)), count(flat_size(table)), type_(type) {
  check_form(c);
  Arena measured;
  lay_out(measured);
  memory_ = DeviceMemory(measured.used());
  fill(memory_.data(), 0, memory_.bytes(), stream);
  Arena arena(memory_.data());
  lay_out(arena);
  for (const TrainedLayer& layer : layers) {
    // All levels 0, and so they stay in rows of tiles past a matrix.
    const auto clear = [&](const TrainedProduct& p) {
      if (p.ternary())
        fill(const_cast<uint8_t*>(p.levels.tiles), 0x55, mma_bytes(p.levels.rows, p.inputs),
             stream);
    };
    std::ranges::for_each(layer.qkv, clear);
    std::ranges::for_each(layer.gate_up, clear);
    clear(layer.o);
    clear(layer.down);
  }
  plan_.emplace(tensors_, stream);
}

void TrainedWeights::lay_out(Arena& arena) {
  masters = arena.take<float>(count);
  gradients = arena.take<float>(count);
  layers.clear();
  copies_.clear();
  tensors_.clear();
  added_to.clear();
  for (const TensorRow& row : table) {
    ParameterTensor tensor{.offset = row.offset, .columns = row.shape.back()};
    tensor.rows = row.count() / tensor.columns;
    tensor.decays = row.role != TensorRole::kNorm;
    tensors_.push_back(tensor);
    if (row.role == TensorRole::kNorm || (row.role == TensorRole::kEmbedding && !config.tied))
      added_to.push_back({row.offset, row.count()});
  }
  ffn_width = padded(config.ffn);
  for (int l = 0; l < config.layers; ++l) {
    TrainedLayer layer;
    if (config.inner_gains()) {
      for (const P p : {P::kQ, P::kK, P::kV}) layer.qkv.push_back(product(arena, l, {p}));
      for (const P p : {P::kGate, P::kUp}) layer.gate_up.push_back(product(arena, l, {p}));
    } else {
      layer.qkv.push_back(product(arena, l, {P::kQ, P::kK, P::kV}));
      layer.gate_up.push_back(product(arena, l, {P::kGate, P::kUp}));
    }
    layer.o = product(arena, l, {P::kO});
    layer.down = product(arena, l, {P::kDown});
    layers.push_back(std::move(layer));
  }
  k_column = padded(config.heads * config.head_dim);
  v_column = k_column + padded(config.kv_heads * config.head_dim);
  qkv_width = v_column + padded(config.kv_heads * config.head_dim);

  embedding = {masters, config.hidden, Float::kF32};
  embedding_gradient = gradients;
  const TensorRow& of_head = config.tied ? table.front() : table.back();
  head = {};
  head.inputs = config.hidden;
  head.width = config.vocabulary;
  head.parts = {{&of_head - table.data(), of_head.offset, config.vocabulary, 0}};
  place_floats(arena, head);
  const TensorRow& norm = table[table.size() - (config.tied ? 1 : 2)];
  final_norm = {true, masters + norm.offset, config.norm_epsilon};
  final_norm_gradient = gradients + norm.offset;
}

const TensorRow& TrainedWeights::row_of(int layer, Projection projection) const {
  return *std::ranges::find_if(table, [&](const TensorRow& row) {
    return row.layer == layer && row.role == TensorRole::kProjection &&
           row.projection == projection;
  });
}

// The norm of that layer (and, inside projections, of that one) whose name ends so.
const TensorRow* TrainedWeights::norm_row(int layer, std::string_view end, P inside) const {
  return &*std::ranges::find_if(table, [&](const TensorRow& row) {
    return row.layer == layer && row.role == TensorRole::kNorm && row.projection == inside &&
           row.hf_name.ends_with(end);
  });
}

void TrainedWeights::set_norm(TrainedProduct& product, const TensorRow* gain) const {
  product.norm = {true, nullptr, config.norm_epsilon};
  if (gain == nullptr) return;
  product.norm.gain = masters + gain->offset;
  product.norm_gradient = gradients + gain->offset;
}

TrainedProduct TrainedWeights::product(Arena& arena, int layer,
                                       std::initializer_list<Projection> projections) {
  TrainedProduct made;
  for (const Projection p : projections) {
    const TensorRow& row = row_of(layer, p);
    made.inputs = row.shape[1];
    made.parts.push_back({&row - table.data(), row.offset, row.shape[0], made.width});
    made.width += padded(row.shape[0]);
  }
  const P first = *projections.begin();
  if (config.inner_norms()) {
    set_norm(made, config.inner_gains() ? norm_row(layer, ".rms_norm.weight", first) : nullptr);
  } else if (first == P::kQ) {
    set_norm(made, norm_row(layer, ".input_layernorm.weight"));
  } else if (first == P::kGate) {
    set_norm(made, norm_row(layer, ".post_attention_layernorm.weight"));
  } else if (config.sub_norms()) {
    set_norm(made,
             norm_row(layer, first == P::kO ? ".attn_sub_norm.weight" : ".ffn_sub_norm.weight"));
  }
  if (config.weights == WeightKind::kFloat)
    place_floats(arena, made);
  else
    place_levels(arena, made);
  return made;
}

void TrainedWeights::place_levels(Arena& arena, TrainedProduct& product) {
  const int64_t tiles = mma_tiles(product.width), tile_bytes = mma_tile_bytes(product.inputs);
  auto* const levels = arena.take<uint8_t>(tiles * tile_bytes);
  auto* const scales = arena.take<float>(tiles);
  product.levels = {levels, scales, product.width, product.inputs};
  for (const TrainedProduct::Part& part : product.parts) {
    ParameterTensor& tensor = tensors_[static_cast<size_t>(part.row)];
    tensor.kind = config.weights;
    tensor.tiles = levels + part.first / kMmaRows * tile_bytes;
    tensor.tile_scales = scales + part.first / kMmaRows;
    tensor.tile_stride = tile_bytes;
  }
}

// float32 products read the masters; those of bfloat16 a copy, all parts in one, rows at multiples of 16 bytes.
void TrainedWeights::place_floats(Arena& arena, TrainedProduct& product) {
  product.levels = {};
  if (type_ == Float::kF32) {
    for (const TrainedProduct::Part& part : product.parts)
      product.floats.push_back({{masters + part.offset, product.inputs, Float::kF32},
                                part.outputs,
                                part.first,
                                product.inputs});
    return;
  }
  const int64_t columns = padded(product.inputs);
  const Rows all = arena.rows(product.width, columns, type_);
  product.floats.push_back({all, product.width, 0, columns});
  for (const TrainedProduct::Part& part : product.parts) {
    const Rows mine = columns_from(all, part.first * columns);
    if (columns == product.inputs)
      tensors_[static_cast<size_t>(part.row)].rounded = mine.data;
    else
      copies_.push_back({{masters + part.offset, product.inputs, Float::kF32},
                         part.outputs,
                         product.inputs,
                         mine});
  }
}

void TrainedWeights::renew(StreamHandle stream, const Scratch& scratch) const {
  quantize_parameters(stream, plan(), masters, scratch);
  renew_copies(stream);
}

void TrainedWeights::renew_copies(StreamHandle stream) const {
  for (const Copy& copy : copies_)
    convert_rows(stream, copy.from, copy.rows, copy.columns, copy.to);
}

}  // namespace trit::cuda
