#include "ops/attention.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/blas.h"
#include "kernels/kernels.h"
#include "ops/row_grain.h"

namespace trit {
namespace {

using kernels::kPagePositions;
using kernels::Transpose;

float softmax_scale(const AttentionShape& shape) {
  return 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
}

// Memory that lives as long as its thread. The one of `Use` is not disturbed by others' needs.
enum class Use : uint8_t { kKernel, kPartials };
template <class T, Use>
T* thread_scratch(int64_t count) {
  thread_local Buffer<T> scratch;
  if (scratch.size() < static_cast<size_t>(count)) scratch = Buffer<T>(static_cast<size_t>(count));
  return scratch.data();
}

// Where a row's key and value go: a page of its sequence, and the position in it.
struct Place {
  std::byte* page;
  int64_t position;
};

// The page of a sequence's position.
std::byte* page_of(const KvLayer& cache, std::span<const PageTable> tables, int32_t sequence,
                   int64_t position) {
  TRIT_CHECK(static_cast<size_t>(sequence) < tables.size());
  const PageTable table = tables[static_cast<size_t>(sequence)];
  const auto page = static_cast<size_t>(position / kPagePositions);
  TRIT_CHECK(page < table.size());
  return cache.pages + table[page] * cache.page_bytes;
}

Place place_of(const KvLayer& cache, std::span<const PageTable> tables, const TokenSlot& slot) {
  return {page_of(cache, tables, slot.sequence, slot.position), slot.position % kPagePositions};
}

const kernels::KvRows& kernel_of(const KvLayer& cache) {
  return kernels::active().kv[static_cast<int>(cache.type)];
}

// With so many key/value heads of rows to work on, each is one thread's work; with fewer, each of their chunks is.
constexpr int64_t kManyHeads = 32;

// Rows of one sequence that attend together: they share what is read of keys and values.
struct RowBlock {
  int64_t first, rows;
};
constexpr int64_t kBlockRows = 16;  // a page is a whole number of them

// A block ends where kBlockRows positions end, so all its rows see equally many pages.
std::vector<RowBlock> row_blocks(std::span<const TokenSlot> slots) {
  std::vector<RowBlock> blocks;
  for (size_t n = 0; n < slots.size(); ++n) {
    const bool goes_on = n > 0 && slots[n].sequence == slots[n - 1].sequence &&
                         slots[n].position == slots[n - 1].position + 1 &&
                         slots[n].position % kBlockRows != 0;
    if (!goes_on) blocks.push_back({static_cast<int64_t>(n), 0});
    ++blocks.back().rows;
  }
  return blocks;
}

bool of_different_sequences(std::span<const TokenSlot> slots, std::span<const PageTable> tables) {
  std::vector<bool> seen(tables.size());
  for (const TokenSlot& slot : slots) {
    const auto sequence = static_cast<size_t>(slot.sequence);
    TRIT_CHECK(sequence < tables.size());
    if (seen[sequence]) return false;
    seen[sequence] = true;
  }
  return true;
}

// The forward pass over a batch. A head here is a key/value head g of a block b, with all query heads that read it:
// i = g B + b, so that a head's keys and values stay near. Its chunks' results (kernels::partial_size) stand in
// order: [chunk][row][query head].
struct ForwardPass {
  const AttentionShape& shape;
  ConstMatrix q;
  std::span<const TokenSlot> slots;
  std::span<const PageTable> tables;
  const KvLayer& cache;
  Matrix out;
  float* log_sums;
  // Rows to be stored first, where every row is of a sequence of its own; empty: all are there.
  ConstMatrix k{}, v{};
  std::vector<RowBlock> blocks = row_blocks(slots);

  int64_t heads() const { return std::ssize(blocks) * shape.kv_heads; }
  int64_t group() const { return shape.heads / shape.kv_heads; }
  const RowBlock& block(int64_t i) const { return blocks[static_cast<size_t>(i) % blocks.size()]; }
  int64_t chunk_size(int64_t i) const {
    return block(i).rows * group() * kernels::partial_size(shape.head_dim);
  }
  // Positions that the block's first row sees.
  int64_t count(int64_t i) const { return slots[static_cast<size_t>(block(i).first)].position + 1; }
  int64_t chunks(int64_t i) const { return kernels::chunks_of(count(i)); }

  void run_chunk(int64_t i, int64_t chunk, double* partials) const {
    const int64_t n = block(i).first, g = i / std::ssize(blocks), D = shape.head_dim;
    const int32_t sequence = slots[static_cast<size_t>(n)].sequence;
    const int64_t first = chunk * kernels::kChunkPositions;
    const int64_t positions = std::min(kernels::kChunkPositions, count(i) - first);
    const std::byte* pages[kernels::kChunkPages];
    for (int64_t j = 0; j < positions; j += kPagePositions) {
      pages[j / kPagePositions] =
          page_of(cache, tables, sequence, first + j) + g * cache.head_bytes;
    }
    float* scratch = thread_scratch<float, Use::kKernel>(kernels::attention_scratch_size(D));
    kernel_of(cache).attention_chunk(
        {q.row(n) + g * group() * D, group(), block(i).rows, q.columns}, pages, positions, D,
        softmax_scale(shape), scratch, partials);
  }

  void merge(int64_t i, const double* partials) const {
    const int64_t first = i / std::ssize(blocks) * group(), D = shape.head_dim;
    for (int64_t n = block(i).first; n < block(i).first + block(i).rows; ++n) {
      for (int64_t h = first; h < first + group(); ++h, partials += kernels::partial_size(D)) {
        const float log_sum = kernels::active().attention_merge(partials, chunks(i), chunk_size(i),
                                                                D, out.row(n) + h * D);
        if (log_sums) log_sums[n * shape.heads + h] = log_sum;
      }
    }
  }

  Place place(int64_t i) const {
    return place_of(cache, tables, slots[static_cast<size_t>(block(i).first)]);
  }
  void store(int64_t i) const {
    const int64_t n = block(i).first, g = i / std::ssize(blocks), D = shape.head_dim;
    const Place to = place(i);
    kernel_of(cache).store(k.row(n) + g * D, v.row(n) + g * D, D, to.position,
                           to.page + g * cache.head_bytes);
  }
  // What head i will be stored over comes near.
  void prefetch(int64_t i) const {
    if (i >= heads()) return;
    const Place to = place(i);
    kernel_of(cache).prefetch(shape.head_dim, to.position,
                              to.page + i / std::ssize(blocks) * cache.head_bytes);
  }

  void run_by_heads() const {
    parallel_for(heads(), [&](int64_t i) {
      if (k.rows > 0) {
        prefetch(i + 1);
        store(i);
      }
      double* partials = thread_scratch<double, Use::kPartials>(chunks(i) * chunk_size(i));
      for (int64_t c = 0; c < chunks(i); ++c) run_chunk(i, c, partials + c * chunk_size(i));
      merge(i, partials);
    });
  }

  // Whoever ends a head's last chunk merges all of them.
  void run_by_chunks() const {
    int64_t most = 0, largest = 0;
    std::array<std::atomic<int64_t>, kManyHeads> left;
    for (int64_t i = 0; i < heads(); ++i) {
      left[static_cast<size_t>(i)] = chunks(i);
      most = std::max(most, chunks(i));
      largest = std::max(largest, chunk_size(i));
    }
    double* all = thread_scratch<double, Use::kPartials>(heads() * most * largest);
    parallel_for(heads() * most, [&](int64_t item) {
      const int64_t i = item / most, chunk = item % most;
      if (chunk >= chunks(i)) return;
      double* partials = all + i * most * largest;
      run_chunk(i, chunk, partials + chunk * chunk_size(i));
      if (--left[static_cast<size_t>(i)] == 0) merge(i, partials);
    });
  }
};

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
  parallel_ranges(x.rows, row_grain(x.columns), [&](int64_t begin, int64_t end) {
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

// Heads of rows that are worth handing to a thread to be stored.
constexpr int64_t kHeadsOfAThread = 8;

int64_t kv_head_bytes(KvType type, const AttentionShape& shape) {
  return kernels::kv_page_layout(type, shape.head_dim).bytes;
}
int64_t kv_page_bytes(KvType type, const AttentionShape& shape) {
  return shape.kv_heads * kv_head_bytes(type, shape);
}

void cache_keys_values(const AttentionShape& shape, ConstMatrix k, ConstMatrix v,
                       std::span<const TokenSlot> slots, std::span<const PageTable> tables,
                       const KvLayer& cache) {
  const int64_t D = shape.head_dim;
  const kernels::KvRows& kernel = kernel_of(cache);
  // Split by heads: neighbouring positions may share bytes. A head's rows one after the other: their keys do.
  const auto store_head = [&](int64_t g) {
    Place next = place_of(cache, tables, slots[0]);
    for (int64_t n = 0; n < k.rows; ++n) {
      const Place place = next;
      if (n + 1 < k.rows) next = place_of(cache, tables, slots[static_cast<size_t>(n) + 1]);
      if (next.page != place.page)
        kernel.prefetch(D, next.position, next.page + g * cache.head_bytes);
      kernel.store(k.row(n) + g * D, v.row(n) + g * D, D, place.position,
                   place.page + g * cache.head_bytes);
    }
  };
  const int64_t grain = std::max<int64_t>(1, kHeadsOfAThread / k.rows);
  parallel_ranges(shape.kv_heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) store_head(g);
  });
}

void attention_forward(const AttentionShape& shape, ConstMatrix q, std::span<const TokenSlot> slots,
                       std::span<const PageTable> tables, const KvLayer& cache, Matrix out,
                       float* log_sums) {
  TRIT_CHECK(q.columns == shape.query_columns() && out.columns == q.columns && out.rows == q.rows);
  const ForwardPass pass{shape, q, slots, tables, cache, out, log_sums};
  if (pass.heads() >= kManyHeads) {
    pass.run_by_heads();
  } else {
    pass.run_by_chunks();
  }
}

void cache_and_attend(const AttentionShape& shape, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                      std::span<const TokenSlot> slots, std::span<const PageTable> tables,
                      const KvLayer& cache, Matrix out, float* log_sums) {
  const ForwardPass pass{shape, q, slots, tables, cache, out, log_sums, k, v};
  if (pass.heads() >= kManyHeads && of_different_sequences(slots, tables)) {
    pass.run_by_heads();
  } else {
    cache_keys_values(shape, k, v, slots, tables, cache);
    attention_forward(shape, q, slots, tables, cache, out, log_sums);
  }
}

void attention_backward(const AttentionShape& shape, int64_t sequences, ConstMatrix q,
                        ConstMatrix k, ConstMatrix v, ConstMatrix out, const float* log_sums,
                        ConstMatrix dout, Matrix dq, Matrix dk, Matrix dv) {
  TRIT_CHECK(q.rows % sequences == 0);
  const int64_t T = q.rows / sequences, D = shape.head_dim, group = shape.heads / shape.kv_heads;
  parallel_for(sequences * shape.kv_heads, [&](int64_t i) {
    const int64_t b = i / shape.kv_heads, g = i % shape.kv_heads;
    float* squares = thread_scratch<float, Use::kKernel>(2 * T * T);
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
