#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/blas.h"
#include "kernels/kernels.h"

namespace trit {
namespace {

using kernels::kKeyBlock;
using kernels::Transpose;

float softmax_scale(const AttentionShape& shape) {
  return 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
}

// Memory that lives as long as its thread: rows of scores, or squares of them in the backward pass.
float* thread_scratch(int64_t count) {
  thread_local std::vector<float> scratch;
  if (scratch.size() < static_cast<size_t>(count)) scratch.resize(static_cast<size_t>(count));
  return scratch.data();
}

// One query head of one sequence, backwards. P and dP are [T, T]; pointers are at the head's columns.
struct HeadBackward {
  int64_t T, D, query_stride, kv_stride;
  float scale;
  const float *q, *k, *v, *out, *dout, *log_sums;
  int64_t log_sums_stride;
  float *dq, *dk, *dv;
  bool first_of_group;  // dk and dv are overwritten by the first query head, then added to

  void run(float* P, float* dP) const {
    const auto& kernel = kernels::active();
    const float keep = first_of_group ? 0.0f : 1.0f;
    // P = softmax(scale q k^T), rebuilt from the log of sums.
    kernels::sgemm(Transpose::kNo, Transpose::kYes, T, T, D, 1.0f, q, query_stride, k, kv_stride,
                   0.0f, P, T);
    for (int64_t t = 0; t < T; ++t) {
      kernel.exp_row(P + t * T, t + 1, scale, log_sums[t * log_sums_stride], P + t * T);
      std::fill(P + t * T + t + 1, P + (t + 1) * T, 0.0f);
    }
    kernels::sgemm(Transpose::kYes, Transpose::kNo, T, D, T, 1.0f, P, T, dout, query_stride, keep,
                   dv, kv_stride);
    kernels::sgemm(Transpose::kNo, Transpose::kYes, T, T, D, 1.0f, dout, query_stride, v, kv_stride,
                   0.0f, dP, T);
    // dS = P (dP - dout.out) scale
    for (int64_t t = 0; t < T; ++t) {
      const float centre = kernel.dot(dout + t * query_stride, out + t * query_stride, D);
      for (int64_t j = 0; j <= t; ++j)
        dP[t * T + j] = P[t * T + j] * (dP[t * T + j] - centre) * scale;
      std::fill(dP + t * T + t + 1, dP + (t + 1) * T, 0.0f);
    }
    kernels::sgemm(Transpose::kNo, Transpose::kNo, T, D, T, 1.0f, dP, T, k, kv_stride, 0.0f, dq,
                   query_stride);
    kernels::sgemm(Transpose::kYes, Transpose::kNo, T, D, T, 1.0f, dP, T, q, query_stride, keep, dk,
                   kv_stride);
  }
};

}  // namespace

RotaryTable::RotaryTable(int64_t head_dim, float theta, int64_t positions)
    : half_(head_dim / 2),
      cosine_(static_cast<size_t>(positions * half_)),
      sine_(static_cast<size_t>(positions * half_)) {
  for (int64_t i = 0; i < half_; ++i) {
    const float frequency =
        1.0f / std::pow(theta, static_cast<float>(2 * i) / static_cast<float>(head_dim));
    for (int64_t position = 0; position < positions; ++position) {
      const float angle = static_cast<float>(position) * frequency;
      cosine_[static_cast<size_t>(position * half_ + i)] = std::cos(angle);
      sine_[static_cast<size_t>(position * half_ + i)] = std::sin(angle);
    }
  }
}

void rotary(const RotaryTable& table, std::span<const TokenSlot> slots, int64_t head_dim, Matrix x,
            float direction) {
  TRIT_CHECK(x.rows == static_cast<int64_t>(slots.size()) && x.columns % head_dim == 0);
  parallel_ranges(x.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t position = slots[static_cast<size_t>(n)].position;
      TRIT_CHECK(position < table.positions());
      for (int64_t column = 0; column < x.columns; column += head_dim) {
        kernels::active().rotate(x.row(n) + column, table.cosine(position), table.sine(position),
                                 head_dim, direction);
      }
    }
  });
}

void cache_keys_values(const AttentionShape& shape, ConstMatrix k, ConstMatrix v,
                       std::span<const TokenSlot> slots, const KvLayer& cache) {
  const int64_t D = shape.head_dim, head_size = cache.capacity * D;
  parallel_ranges(k.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const auto [sequence, position] = slots[static_cast<size_t>(n)];
      TRIT_CHECK(position < cache.capacity);
      for (int64_t g = 0; g < shape.kv_heads; ++g) {
        const int64_t base = (sequence * shape.kv_heads + g) * head_size;
        float* key =
            cache.keys + base + position / kKeyBlock * kKeyBlock * D + position % kKeyBlock;
        for (int64_t d = 0; d < D; ++d) key[d * kKeyBlock] = k.row(n)[g * D + d];
        std::copy_n(v.row(n) + g * D, D, cache.values + base + position * D);
      }
    }
  });
}

void attention_forward(const AttentionShape& shape, ConstMatrix q, std::span<const TokenSlot> slots,
                       const KvLayer& cache, Matrix out, float* log_sums) {
  TRIT_CHECK(q.columns == shape.query_columns() && out.columns == q.columns && out.rows == q.rows);
  const int64_t D = shape.head_dim, group = shape.heads / shape.kv_heads;
  parallel_ranges(q.rows * shape.heads, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / shape.heads, h = i % shape.heads;
      const auto [sequence, position] = slots[static_cast<size_t>(n)];
      const int64_t base = (sequence * shape.kv_heads + h / group) * cache.capacity * D;
      float* scratch = thread_scratch(3 * (position + 1 + kKeyBlock));
      const float log_sum = kernels::active().attention(
          q.row(n) + h * D, cache.keys + base, cache.values + base, position + 1, D,
          softmax_scale(shape), scratch, out.row(n) + h * D);
      if (log_sums) log_sums[i] = log_sum;
    }
  });
}

void attention_backward(const AttentionShape& shape, int64_t sequences, ConstMatrix q,
                        ConstMatrix k, ConstMatrix v, ConstMatrix out, const float* log_sums,
                        ConstMatrix dout, Matrix dq, Matrix dk, Matrix dv) {
  TRIT_CHECK(q.rows % sequences == 0);
  const int64_t T = q.rows / sequences, D = shape.head_dim, group = shape.heads / shape.kv_heads;
  parallel_for(sequences * shape.kv_heads, [&](int64_t i) {
    const int64_t b = i / shape.kv_heads, g = i % shape.kv_heads;
    float* squares = thread_scratch(2 * T * T);
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      const int64_t query = b * T * q.columns + h * D, kv = b * T * k.columns + g * D;
      const HeadBackward head{T,
                              D,
                              q.columns,
                              k.columns,
                              softmax_scale(shape),
                              q.data + query,
                              k.data + kv,
                              v.data + kv,
                              out.data + query,
                              dout.data + query,
                              log_sums + b * T * shape.heads + h,
                              shape.heads,
                              dq.data + query,
                              dk.data + kv,
                              dv.data + kv,
                              h == g * group};
      head.run(squares, squares + T * T);
    }
  });
}

}  // namespace trit
