#include "infer/cpu_backend.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace trit {
namespace {

AttentionShape attention_shape(const Config& c) { return {c.heads, c.kv_heads, c.head_dim}; }

KvCache cache_view(const Config& config, KvType type, std::byte* memory) {
  const AttentionShape shape = attention_shape(config);
  const int64_t layer_bytes = kv_page_bytes(type, shape);
  KvCache cache;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    cache.layers.push_back({type, memory + layer * layer_bytes, config.layers * layer_bytes,
                            kv_head_bytes(type, shape)});
  }
  return cache;
}

}  // namespace

KvType kv_type_from(std::string_view name) {
  std::string names;
  for (int i = 0; i < kernels::kKvTypes; ++i) {
    const auto type = static_cast<KvType>(i);
    if (name == to_string(type)) return type;
    names += fmt::format("{}{}", i == 0 ? "" : ", ", to_string(type));
  }
  bad_input("'{}' is no type of cached keys and values; there are {}", printable(name), names);
}

int64_t kv_bytes_per_position(const Config& config, KvType type) {
  return config.layers * kv_page_bytes(type, attention_shape(config)) / kernels::kPagePositions;
}

CpuBackend::CpuBackend(const Weights& weights, const CpuBackendOptions& options)
    : weights_(weights),
      page_bytes_(weights.config.layers *
                  kv_page_bytes(options.kv_type, attention_shape(weights.config))),
      pages_(kernels::pages_of(options.positions > 0 ? options.positions : weights.config.context)),
      max_rows_(options.max_rows),
      memory_(static_cast<size_t>(pages_ * page_bytes_), /*reserve=*/false),
      state_(
          weights.config,
          cache_view(weights.config, options.kv_type, reinterpret_cast<std::byte*>(memory_.data())),
          /*positions=*/0, max_rows_) {}

void CpuBackend::run(const Batch& batch) {
  // The table of rotations grows as far as sequences do.
  int64_t positions = 0;
  for (const TokenSlot& slot : batch.slots)
    positions = std::max<int64_t>(positions, slot.position + 1);
  if (positions > state_.rotary.positions()) {
    const Config& c = weights_.config;
    const auto size = std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(positions, 256)));
    state_.rotary = RotaryTable(c.head_dim, c.rope_theta, static_cast<int64_t>(size));
  }
  forward(weights_, batch, state_);
}

void CpuBackend::logits(std::span<const int64_t> rows, Matrix out) {
  TRIT_CHECK(std::ssize(rows) == out.rows);
  const int64_t columns = state_.hidden.columns;
  float* gathered = state_.workspace.get<float>("head_rows", out.rows * columns);
  for (int64_t i = 0; i < out.rows; ++i)
    std::copy_n(state_.hidden.row(rows[static_cast<size_t>(i)]), columns, gathered + i * columns);
  const LinearInput input =
      prepare_input(weights_.head, {gathered, out.rows, columns}, state_.workspace);
  linear_forward(weights_.head, input, out, state_.workspace);
}

void CpuBackend::copy_page(PageId from, PageId to) {
  std::memcpy(memory_.data() + to * page_bytes_, memory_.data() + from * page_bytes_,
              static_cast<size_t>(page_bytes_));
}

}  // namespace trit
