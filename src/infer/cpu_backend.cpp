#include "infer/cpu_backend.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

constexpr int64_t kTokensOfAThread = 8;  // whose logits it computes at a time

AttentionShape attention_shape(const Config& c) { return {c.heads, c.kv_heads, c.head_dim}; }

// Of the layers and heads that this rank has.
int64_t rank_page_bytes(const Config& config, const Ranks& ranks, KvType type) {
  return ranks.layers(config.layers).size() *
         kv_page_bytes(type, attention_shape(part_of(config, ranks)));
}

KvCache cache_view(const Config& config, const Ranks& ranks, KvType type, std::byte* memory) {
  const AttentionShape shape = attention_shape(part_of(config, ranks));
  const int64_t layer_bytes = kv_page_bytes(type, shape);
  const Share here = ranks.layers(config.layers);
  KvCache cache;
  cache.layers.resize(static_cast<size_t>(config.layers));
  for (int64_t layer = here.begin; layer < here.end; ++layer) {
    cache.layers[static_cast<size_t>(layer)] = {type, memory + (layer - here.begin) * layer_bytes,
                                                here.size() * layer_bytes,
                                                kv_head_bytes(type, shape)};
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
      ranks_(options.ranks == nullptr ? alone_ : *options.ranks),
      page_bytes_(rank_page_bytes(weights.config, ranks_, options.kv_type)),
      pages_(kernels::pages_of(options.positions > 0 ? options.positions : weights.config.context)),
      max_rows_(options.max_rows),
      memory_(static_cast<size_t>(pages_ * page_bytes_), /*reserve=*/false),
      state_(weights.config,
             cache_view(weights.config, ranks_, options.kv_type,
                        reinterpret_cast<std::byte*>(memory_.data())),
             /*positions=*/0, max_rows_, &ranks_) {}

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
  try {
    forward(weights_, batch, state_);
  } catch (const Error&) {
    if (!ranks_.last_stage()) ranks_.send_failure();
    throw;
  }
}

// These rows of the hidden states, one after the other.
ConstMatrix CpuBackend::gathered(std::span<const int64_t> rows) {
  const int64_t columns = state_.hidden.columns, count = std::ssize(rows);
  float* out = state_.workspace.get<float>("head_rows", count * columns);
  for (int64_t i = 0; i < count; ++i)
    std::copy_n(state_.hidden.row(rows[static_cast<size_t>(i)]), columns, out + i * columns);
  return {out, count, columns};
}

void CpuBackend::logits(std::span<const int64_t> rows, Matrix out) {
  TRIT_CHECK(std::ssize(rows) == out.rows);
  head_forward(weights_, gathered(rows), ranks_, state_.workspace, out);
}

void CpuBackend::top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
  const Linear& head = weights_.head;
  if (ranks_.job() != nullptr) return Backend::top(rows, k, out);  // a part of the head
  if (!std::exchange(screen_made_, true))
    screen_ = HeadScreen::of(head.dense, head.outputs, head.inputs);
  const auto count = static_cast<size_t>(kernels::kScreenTokens), each = static_cast<size_t>(k);
  while (!rows.empty()) {
    const size_t here = std::min(rows.size(), count);
    if (!screen_ || !screen_->screens(std::ssize(rows))) return Backend::top(rows, k, out);
    screened_top(rows.first(here), k, out.first(here * each));
    rows = rows.subspan(here);
    out = out.subspan(here * each);
  }
}

void CpuBackend::screened_top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
  const Linear& head = weights_.head;
  const LinearInput input = prepare_input(head, gathered(rows), state_.workspace);
  screen_->candidates({input.values, input.rows, input.columns}, k, candidates_);
  screened_.rows += input.rows;
  const auto best_of = [&](size_t i) {
    return out.subspan(i * static_cast<size_t>(k), static_cast<size_t>(k));
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!candidates_[i].empty())
      multiply(candidates_[i], input.values + static_cast<int64_t>(i) * input.columns, k,
               best_of(i));
  }
  // These use the same memory as the input.
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!candidates_[i].empty()) continue;
    ++screened_.failed;
    Backend::top(rows.subspan(i, 1), k, best_of(i));
  }
}

// The k best of these tokens.
void CpuBackend::multiply(std::span<const int32_t> tokens, const float* x, int64_t k,
                          std::span<TokenLogit> out) {
  const Linear& head = weights_.head;
  multiplied_.resize(tokens.size());
  parallel_ranges(std::ssize(tokens), kTokensOfAThread, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      multiplied_[i].token = tokens[i];
      head.dense.multiply(kernels::active(), tokens[i], 1, head.inputs, x, 1, &multiplied_[i].logit,
                          1);
    }
  });
  screened_.multiplied += std::ssize(tokens);
  std::ranges::partial_sort_copy(multiplied_, out, better);
  TRIT_CHECK(std::ssize(tokens) >= k);
}

void CpuBackend::copy_page(PageId from, PageId to) {
  std::memcpy(memory_.data() + to * page_bytes_, memory_.data() + from * page_bytes_,
              static_cast<size_t>(page_bytes_));
}

}  // namespace trit
