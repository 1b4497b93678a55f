#include "model/cuda/device_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "base/error.h"
#include "base/thread_pool.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

using P = Projection;

constexpr int64_t kAlign = 256;
int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
int64_t padded_rows(int64_t rows) { return mma_tiles(rows) * kMmaRows; }

DenseForm form_of(const StoredMatrix& m, std::string_view what) {
  if (m.is(DType::kF32)) return DenseForm::kF32;
  if (m.is(DType::kF16)) return DenseForm::kF16;
  if (m.is(DType::kBF16)) return DenseForm::kBF16;
  if (m.layout == &kQ8_0) return DenseForm::kQ8_0;
  if (m.layout == &kQ6_K) return DenseForm::kQ6_K;
  if (m.layout == &kQ4_0) return DenseForm::kQ4_0;
  if (m.layout == &kQ4_K) return DenseForm::kQ4_K;
  bad_input(
      "{}: its weights are in a form that the kernels for NVIDIA devices do not read; convert the "
      "model "
      "to float16, Q8_0 or Q6_K",
      what);
}

constexpr float kRandomSize = 0.04f;  // of float weights: keeps activations in range

// Lays everything out one after the other: first without memory, to learn how much it takes, then for real. With a
// seed, matrices are not copied but filled with random weights.
class Uploader {
 public:
  Uploader(std::byte* base, std::optional<uint64_t> seed, StreamHandle stream)
      : base_(base), seed_(seed), stream_(stream) {}
  int64_t bytes() const { return used_; }
  int64_t largest() const { return largest_; }

  // Room for `bytes`, which `make` writes into staging memory. Null in the dry run.
  template <class Make>
  const std::byte* add(int64_t bytes, const Make& make) {
    std::byte* to = base_ == nullptr ? nullptr : base_ + used_;
    used_ += aligned(bytes);
    largest_ = std::max(largest_, bytes);
    if (to == nullptr) return nullptr;
    if (staging_.data() == nullptr) staging_ = PinnedMemory(staging_bytes_);
    make(staging_.data());
    copy_to_device(to, staging_.data(), bytes, stream_);
    wait(stream_);
    return to;
  }
  void stage(int64_t bytes) { staging_bytes_ = bytes; }

  // The same for a matrix of levels or of floats.
  template <class Make>
  const std::byte* add_matrix(int64_t bytes, bool levels, const Make& make) {
    if (!seed_) return add(bytes, make);
    std::byte* to = base_ == nullptr ? nullptr : base_ + used_;
    const uint64_t seed = *seed_ + static_cast<uint64_t>(used_) / 8;
    used_ += aligned(bytes);
    if (to == nullptr) return nullptr;
    const int64_t words = (bytes + 7) / 8 * 8;
    levels ? random_codes(stream_, to, words, seed)
           : random_halves(stream_, to, words, seed, kRandomSize);
    return to;
  }

  Norm norm(const float* gain, int64_t size, float epsilon) {
    if (gain == nullptr) return {};
    const std::byte* to =
        add(size * 4, [&](std::byte* at) { std::memcpy(at, gain, static_cast<size_t>(size * 4)); });
    return {true, reinterpret_cast<const float*>(to), epsilon};
  }

  DenseLayer matrix(const StoredMatrix& stored, int64_t rows, int64_t columns,
                    std::string_view what) {
    const Linear as_layer{.outputs = rows, .inputs = columns, .dense = stored};
    return dense({&as_layer}, 1, 0, what);
  }

  // The rows of layers that share their input: one below the other, each filled up to 16 rows, or (alternate) 16 of
  // one and 16 of the next in turn. Columns of float layers are filled up to `columns` with zeros.
  DeviceProduct product(std::initializer_list<const Linear*> parts, bool alternate,
                        int64_t columns = 0) {
    const std::vector<const Linear*> all(parts);
    const Linear& first = *all[0];
    DeviceProduct product;
    if (first.kind != WeightKind::kFloat)
      product.levels = ternary(all, alternate);
    else
      product.dense = dense(all, alternate ? 16 : 1, columns, "a float layer");
    if (first.inner_norm) {
      product.inner = norm(first.norm_gain, first.inputs, first.norm_epsilon);
      product.inner.there = true;
      product.inner.epsilon = first.norm_epsilon;
    }
    return product;
  }

 private:
  TernaryLayer ternary(const std::vector<const Linear*>& parts, bool alternate) {
    const int64_t columns = parts[0]->inputs, tile = mma_tile_bytes(columns);
    int64_t tiles = 0;
    for (const Linear* part : parts) {
      if (part->input_kind != InputKind::kInt8)
        bad_input(
            "the kernels for NVIDIA devices multiply levels with int8 activations; this model's "
            "are float: "
            "run it with --device cpu");
      TRIT_CHECK((seed_ || part->packed != nullptr) && part->inputs == columns);
      tiles += mma_tiles(part->outputs);
    }
    const auto count = static_cast<int64_t>(parts.size());
    const std::byte* levels = add_matrix(tiles * tile, true, [&](std::byte* at) {
      int64_t first = 0;
      for (int64_t i = 0; i < count; ++i) {
        const Linear& part = *parts[static_cast<size_t>(i)];
        std::byte* to = at + (alternate ? i : first) * tile;
        write_tiles(part, reinterpret_cast<uint8_t*>(to), alternate ? count * tile : tile);
        first += mma_tiles(part.outputs);
      }
    });
    const std::byte* scales = add(tiles * 4, [&](std::byte* at) {
      auto* to = reinterpret_cast<float*>(at);
      int64_t first = 0;
      for (int64_t i = 0; i < count; ++i) {
        const Linear& part = *parts[static_cast<size_t>(i)];
        for (int64_t t = 0; t < mma_tiles(part.outputs); ++t)
          to[alternate ? t * count + i : first + t] = part.scale;
        first += mma_tiles(part.outputs);
      }
    });
    return {reinterpret_cast<const uint8_t*>(levels), reinterpret_cast<const float*>(scales),
            tiles * kMmaRows, columns};
  }

  static void write_tiles(const Linear& part, uint8_t* to, int64_t stride) {
    const int64_t row_bytes = packed_row_bytes(part.inputs);
    parallel_ranges(mma_tiles(part.outputs), 16, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kMmaRows, rows = std::min(end * kMmaRows, part.outputs) - first;
      mma_tile_trits({part.packed + first * row_bytes, static_cast<size_t>(rows * row_bytes)}, rows,
                     part.inputs, to + begin * stride, stride);
    });
  }

  // `run` rows of one and of the next in turn; 1: one below the other.
  DenseLayer dense(const std::vector<const Linear*>& parts, int64_t run, int64_t filled,
                   std::string_view what) {
    const StoredMatrix& stored = parts[0]->dense;
    const int64_t columns = std::max(parts[0]->inputs, filled);
    const int64_t from_row = stored.row_bytes(parts[0]->inputs), row = stored.row_bytes(columns);
    const auto count = static_cast<int64_t>(parts.size());
    int64_t rows = 0;
    for (const Linear* part : parts) {
      TRIT_CHECK(part->inputs == parts[0]->inputs &&
                 part->dense.row_bytes(part->inputs) == from_row);
      rows += run == 1 ? part->outputs : padded_rows(part->outputs);
    }
    const std::byte* weights = add_matrix(rows * row, false, [&](std::byte* at) {
      int64_t first = 0;
      for (int64_t i = 0; i < count; ++i) {
        const Linear& part = *parts[static_cast<size_t>(i)];
        if (run == 1 && row == from_row) {
          copy(part.dense.row(0, columns), part.outputs * row, at + first * row);
          first += part.outputs;
          continue;
        }
        const int64_t some = run == 1 ? part.outputs : padded_rows(part.outputs);
        for (int64_t r = 0; r < some; ++r) {
          std::byte* to = at + (run == 1 ? first + r : (r / run * count + i) * run + r % run) * row;
          const int64_t there = r < part.outputs ? from_row : 0;
          if (there > 0)
            std::memcpy(to, part.dense.row(r, part.inputs), static_cast<size_t>(there));
          std::memset(to + there, 0, static_cast<size_t>(row - there));
        }
        first += some;
      }
    });
    return {weights, form_of(stored, what), rows, columns};
  }

  static void copy(const uint8_t* from, int64_t bytes, std::byte* to) {
    parallel_ranges(bytes, 1 << 20, [&](int64_t begin, int64_t end) {
      std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
    });
  }

  std::byte* base_;
  std::optional<uint64_t> seed_;
  StreamHandle stream_;
  PinnedMemory staging_;
  int64_t used_ = 0, largest_ = 0, staging_bytes_ = 0;
};

DeviceLayer upload(const LayerWeights& w, const Config& c, Uploader& to) {
  DeviceLayer layer;
  const float eps = c.norm_epsilon;
  const int64_t query = c.heads * c.head_dim;
  layer.attn_norm = to.norm(w.attn_norm, c.hidden, eps);
  layer.q_norm = to.norm(w.q_norm, c.head_dim, eps);
  layer.k_norm = to.norm(w.k_norm, c.head_dim, eps);
  layer.attn_sub_norm = to.norm(w.attn_sub_norm, query, eps);
  layer.ffn_norm = to.norm(w.ffn_norm, c.hidden, eps);
  layer.ffn_sub_norm = to.norm(w.ffn_sub_norm, c.ffn, eps);
  if (c.inner_gains()) {
    for (const P p : {P::kQ, P::kK, P::kV}) layer.qkv.push_back(to.product({&w[p]}, false));
    for (const P p : {P::kGate, P::kUp}) layer.gate_up.push_back(to.product({&w[p]}, false));
  } else {
    layer.qkv.push_back(to.product({&w[P::kQ], &w[P::kK], &w[P::kV]}, false));
    layer.gate_up.push_back(to.product({&w[P::kGate], &w[P::kUp]}, true));
  }
  layer.o = to.product({&w[P::kO]}, false);
  // What stands between gate and down has columns up to a multiple of 16, zeros in the end, and so can down: rows of
  // halves are read 16 bytes at a time.
  const StoredMatrix& down = w[P::kDown].dense;
  const bool fills = w[P::kDown].kind == WeightKind::kFloat && !c.inner_norms() && !c.sub_norms() &&
                     (down.is(DType::kF32) || down.is(DType::kF16) || down.is(DType::kBF16));
  layer.down = to.product({&w[P::kDown]}, false, fills ? padded_rows(c.ffn) : 0);
  return layer;
}

// Some rows of a table that is on the device already; nothing when no kernel could read them there.
DenseLayer rows_of(const DenseLayer& table, const Share& rows) {
  constexpr int64_t kAligned = 16;
  const int64_t offset = rows.begin * dense_row_bytes(table.form, table.columns);
  if (table.rows == 0 || offset % kAligned != 0) return {};
  DenseLayer some = table;
  some.weights = static_cast<const std::byte*>(table.weights) + offset;
  some.rows = rows.size();
  return some;
}

void upload(const Weights& weights, Uploader& to, DeviceWeights& out) {
  const Config& c = weights.config;
  const Ranks& ranks = out.ranks.ranks();
  out.embedding = out.head = {};
  out.layers.clear();
  if (ranks.first_stage())
    out.embedding = to.matrix(weights.embedding, c.vocabulary, c.hidden, "the embedding table");
  if (ranks.last_stage()) {
    const Share rows = share_of(c.vocabulary, ranks.tensor_rank(), ranks.tensor_size());
    if (c.tied) out.head = rows_of(out.embedding, rows);
    if (out.head.rows == 0)
      out.head = to.matrix(weights.head.dense, rows.size(), c.hidden, "the head");
    out.head.whole_rows = c.vocabulary;
    out.final_norm = to.norm(weights.final_norm, c.hidden, c.norm_epsilon);
  }
  const Share stage = ranks.layers(c.layers);
  for (int64_t l = stage.begin; l < stage.end; ++l)
    out.layers.push_back(upload(weights.layers[static_cast<size_t>(l)], c, to));
}

Config checked_part(const Config& config, const Ranks& ranks) {
  if (ranks.stages() > config.layers)
    bad_input("{} pipeline stages: the model has {} layers", ranks.stages(), config.layers);
  return part_of(config, ranks);
}

// Weights of a shape whose matrices are nowhere, and whose gains are all `ones`.
Weights blank_weights(const Config& config, const std::vector<float>& ones) {
  Weights weights = empty_weights(config);
  for (const TensorRow& row : tensor_table(config)) {
    if (row.role == TensorRole::kNorm)
      point_at(weights, row, {ones.data(), DType::kF32});
    else if (!is_packed(config, row))
      point_at(weights, row, {nullptr, DType::kF16});
  }
  for (LayerWeights& layer : weights.layers) {
    for (Linear& linear : layer.projections)  // outputs about as large as inputs
      linear.scale = std::sqrt(2.0f / static_cast<float>(linear.inputs));
  }
  return weights;
}

}  // namespace

DeviceWeights::DeviceWeights(const Weights& weights, StreamHandle stream, const Ranks& of)
    : config(weights.config), part(checked_part(config, of)), ranks(of) {
  make(weights, std::nullopt, stream);
}

DeviceWeights::DeviceWeights(const Config& shape, uint64_t seed, StreamHandle stream)
    : config(shape), part(shape), ranks(trit::alone()) {
  const std::vector<float> ones(
      static_cast<size_t>(std::max({shape.hidden, shape.ffn, shape.heads * shape.head_dim})), 1.0f);
  make(blank_weights(shape, ones), seed, stream);
}

void DeviceWeights::make(const Weights& weights, std::optional<uint64_t> seed,
                         StreamHandle stream) {
  Uploader dry(nullptr, seed, stream);
  upload(weights, dry, *this);
  memory_ = DeviceMemory(dry.bytes());
  Uploader uploader(memory_.data(), seed, stream);
  uploader.stage(dry.largest());
  upload(weights, uploader, *this);
  wait(stream);

  // Ternary products are filled up to 16 rows each.
  const bool ternary = config.weights != WeightKind::kFloat;
  const auto width = [&](int64_t rows) { return ternary ? padded_rows(rows) : rows; };
  const int64_t query = part.heads * part.head_dim, kv = part.kv_heads * part.head_dim;
  qkv_columns = {0, width(query), width(query) + width(kv)};
  qkv_width = width(query) + 2 * width(kv);
  hidden_width = padded_rows(config.hidden);
  ffn_width = padded_rows(config.ffn);
  const int64_t first[] = {qkv_columns.q, qkv_columns.k, qkv_columns.v};
  for (DeviceLayer& layer : layers) {
    for (size_t i = 0; i < layer.qkv.size(); ++i) layer.qkv[i].first = first[i];
  }
}

}  // namespace trit::cuda
