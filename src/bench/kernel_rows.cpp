// Rows of floats, and attention over cached keys and values.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/rng.h"
#include "base/tensor.h"
#include "bench/kernel_work.h"
#include "quant/tiles.h"

namespace trit::bench {
namespace {

using kernels::Table;

constexpr int64_t kVectors = 6;
constexpr int64_t kDepth = 4096;  // of attention_merge

// What one thread works on.
struct Rows {
  explicit Rows(int64_t n) : integers(static_cast<size_t>(n)), bytes(static_cast<size_t>(n + 128)) {
    Rng rng(1);
    for (Buffer<float>& vector : v) {
      vector = Buffer<float>(static_cast<size_t>(n));
      for (float& value : vector) value = static_cast<float>(rng.uniform()) - 0.5f;
    }
    for (int32_t& value : integers) value = static_cast<int32_t>(rng.below(2000)) - 1000;
    std::ranges::fill(bytes, int8_t{3});
  }
  float* in(int i) { return v[i].data(); }

  Buffer<float> v[kVectors];
  Buffer<int32_t> integers;
  Buffer<int8_t> bytes;
  Buffer<uint8_t> tables;
  Buffer<double> partials;
  Buffer<std::byte> page;
  int64_t place = 0;
};

struct RowKernel {
  const char* name;
  KernelKind kind;
  // Bytes of each element: that are read, and that are kept between two runs.
  double read, kept;
  void (*run)(const Table& kernel, Rows& rows, int64_t n);
};

constexpr RowKernel row(const char* name, double read, double kept,
                        void (*run)(const Table&, Rows&, int64_t)) {
  return {name, KernelKind::kRow, read, kept, run};
}
constexpr RowKernel head_row(const char* name, double read, double kept,
                             void (*run)(const Table&, Rows&, int64_t)) {
  return {name, KernelKind::kHeadRow, read, kept, run};
}

template <int type>
void store(const Table& k, Rows& r, int64_t n) {
  k.kv[type].store(r.in(0), r.in(1), n, r.place++ % kernels::kPagePositions, r.page.data());
}

constexpr RowKernel kRows[] = {
    row("quantize_i8", 8, 5,
        [](const Table& k, Rows& r, int64_t n) {
          int32_t sum = 0;
          k.quantize_i8(r.in(0), n, activation_stride(n), r.bytes.data(), &sum);
        }),
    row("base3_tables", 1, 1 + 256.0 / kBase3Inputs,
        [](const Table& k, Rows& r, int64_t n) {
          k.base3_tables(r.bytes.data(), n / kBase3Inputs, r.tables.data());
        }),
    row("rmsnorm", 12, 12,
        [](const Table& k, Rows& r, int64_t n) { k.rmsnorm(r.in(0), r.in(1), n, 1e-5f, r.in(2)); }),
    row("rmsnorm_backward", 32, 20,
        [](const Table& k, Rows& r, int64_t n) {
          k.rmsnorm_backward(r.in(0), r.in(1), r.in(2), n, 1e-5f, r.in(3), r.in(4));
        }),
    row("silu_mul", 8, 12,
        [](const Table& k, Rows& r, int64_t n) { k.silu_mul(r.in(0), r.in(1), n, r.in(2)); }),
    row("silu_mul_backward", 12, 20,
        [](const Table& k, Rows& r, int64_t n) {
          k.silu_mul_backward(r.in(0), r.in(1), r.in(2), n, r.in(3), r.in(4));
        }),
    row("relu2_mul", 8, 12,
        [](const Table& k, Rows& r, int64_t n) { k.relu2_mul(r.in(0), r.in(1), n, r.in(2)); }),
    row("relu2_mul_backward", 12, 20,
        [](const Table& k, Rows& r, int64_t n) {
          k.relu2_mul_backward(r.in(0), r.in(1), r.in(2), n, r.in(3), r.in(4));
        }),
    head_row(
        "rotate", 8, 8,
        [](const Table& k, Rows& r, int64_t n) { k.rotate(r.in(0), r.in(3), r.in(4), n, 1.0f); }),
    head_row("attention_merge", 8.0 * kDepth / kernels::kChunkPositions,
             8.0 * kDepth / kernels::kChunkPositions,
             [](const Table& k, Rows& r, int64_t n) {
               k.attention_merge(r.partials.data(), kernels::chunks_of(kDepth),
                                 kernels::partial_size(n), n, r.in(0));
             }),
    head_row("kv_store_f32", 8, 16, store<0>),
    head_row("kv_store_f16", 8, 12, store<1>),
    head_row("kv_store_int8", 8, 10, store<2>),
    head_row("kv_store_int4", 8, 9, store<3>),
    {"cross_entropy", KernelKind::kLogits, 12, 4,
     [](const Table& k, Rows& r, int64_t n) { k.cross_entropy(r.in(0), n, n / 2, 1.0f); }},
    {"exp_row", KernelKind::kLogits, 4, 8,
     [](const Table& k, Rows& r, int64_t n) { k.exp_row(r.in(0), n, 1.0f, 1.0f, r.in(1)); }},
    row("add", 8, 8, [](const Table& k, Rows& r, int64_t n) { k.add(r.in(0), n, r.in(1)); }),
    row("axpy", 8, 8,
        [](const Table& k, Rows& r, int64_t n) { k.axpy(0.5f, r.in(0), n, r.in(1)); }),
    row("dot", 8, 8,
        [](const Table& k, Rows& r, int64_t n) {
          const volatile float result = k.dot(r.in(0), r.in(1), n);
          (void)result;
        }),
    row("scale_i8", 1, 5,
        [](const Table& k, Rows& r, int64_t n) { k.scale_i8(r.bytes.data(), 0.5, n, r.in(0)); }),
    row("scale_i32", 4, 8,
        [](const Table& k, Rows& r, int64_t n) {
          k.scale_i32(r.integers.data(), 0.5, n, r.in(0));
        }),
    row("adamw", 16, 16,
        [](const Table& k, Rows& r, int64_t n) {
          constexpr kernels::AdamStep kStep{1, 1e-3f, 0.9f, 0.1f, 0.99f, 0.01f, 1, 1e-8f, 1};
          k.adamw(kStep, n, r.in(0), r.in(1), r.in(2), r.in(3));
        }),
};

const RowKernel& row_kernel(const std::string& name) {
  const auto* found =
      std::ranges::find_if(kRows, [&](const RowKernel& row) { return row.name == name; });
  TRIT_CHECK(found != std::end(kRows));
  return *found;
}

std::shared_ptr<std::vector<Rows>> make_rows(const KernelTest& test, const RowKernel& kernel) {
  const int64_t n = test.length;
  auto rows = std::make_shared<std::vector<Rows>>();
  for (int thread = 0; thread < test.threads; ++thread) {
    Rows& mine = rows->emplace_back(n);
    // Squares of gradients.
    if (std::string_view(kernel.name) == "adamw") std::ranges::fill(mine.v[3], 0.25f);
    if (std::string_view(kernel.name) == "base3_tables") {
      mine.tables = Buffer<uint8_t>::zeros(
          static_cast<size_t>(n / kBase3Inputs * kernels::table(test.isa).base3_table_bytes));
    }
    if (kernel.kind == KernelKind::kHeadRow) {
      // A quarter of a turn each time: nothing grows.
      std::ranges::fill(mine.v[3], 0.0f);
      std::ranges::fill(mine.v[4], 1.0f);
      mine.partials = Buffer<double>(
          static_cast<size_t>(kernels::chunks_of(kDepth) * kernels::partial_size(n)));
      std::ranges::fill(mine.partials, 1.0);
      mine.page = Buffer<std::byte>::zeros(
          static_cast<size_t>(kernels::kv_page_layout(kernels::KvType::kF32, n).bytes));
    }
  }
  return rows;
}

kernels::KvType kv_type(const KernelTest& test) {
  for (int i = 0; i < kernels::kKvTypes; ++i) {
    const auto type = static_cast<kernels::KvType>(i);
    if (test.kernel.name.ends_with(to_string(type))) return type;
  }
  TRIT_CHECK(false);
  return {};
}

// A page of one head as the kernels store it.
std::vector<uint8_t> page_of(const KernelTest& test, kernels::KvType type, int64_t bytes) {
  const auto D = static_cast<size_t>(test.length);
  std::vector<uint8_t> page(static_cast<size_t>(bytes));
  std::vector<float> k(D), v(D);
  Rng rng(3);
  for (int64_t place = 0; place < kernels::kPagePositions; ++place) {
    for (size_t i = 0; i < D; ++i) {
      k[i] = static_cast<float>(rng.uniform()) - 0.5f;
      v[i] = static_cast<float>(rng.uniform()) - 0.5f;
    }
    kernels::table(test.isa).kv[static_cast<int>(type)].store(
        k.data(), v.data(), test.length, place, reinterpret_cast<std::byte*>(page.data()));
  }
  return page;
}

struct Attention {
  KernelTest test;
  kernels::KvRows kernel;
  Buffer<float> q;
  struct Hands {
    Ring ring;
    Buffer<float> scratch;
    Buffer<double> partials;
  };
  std::vector<Hands> hands;

  int64_t chunks() const { return kernels::chunks_of(test.depth); }
  // Of a chunk of one key/value head.
  int64_t positions(int64_t item) const {
    return std::min(kernels::kChunkPositions,
                    test.depth - item % chunks() * kernels::kChunkPositions);
  }

  void run_chunk(int64_t item, Hands& mine) const {
    const std::byte* pages[kernels::kChunkPages];
    const int64_t count = kernels::pages_of(positions(item));
    for (int64_t i = 0; i < count; ++i)
      pages[i] = reinterpret_cast<const std::byte*>(mine.ring.next(1));
    kernel.attention_chunk({q.data(), test.group}, pages, positions(item), test.length, 0.1f,
                           mine.scratch.data(), mine.partials.data());
  }

  // Each thread a share of the chunks of all heads.
  void run(int thread, int64_t rounds) {
    const int64_t all = test.kv_heads * chunks();
    const int64_t first = all * thread / test.threads, end = all * (thread + 1) / test.threads;
    for (int64_t round = 0; round < rounds; ++round) {
      for (int64_t item = first; item < end; ++item)
        run_chunk(item, hands[static_cast<size_t>(thread)]);
    }
  }
};

}  // namespace

std::vector<KernelInfo> row_kernels() {
  std::vector<KernelInfo> list;
  for (const RowKernel& row : kRows) list.push_back({row.name, row.kind});
  return list;
}

Work row_work(const KernelTest& test) {
  const RowKernel& kernel = row_kernel(test.kernel.name);
  const auto rows = make_rows(test, kernel);
  const Table& table = kernels::table(test.isa);
  Work work;
  work.calls = 1;  // of each thread, at the same time
  work.bytes = kernel.read * static_cast<double>(test.length * test.threads);
  work.resident = static_cast<int64_t>(kernel.kept * static_cast<double>(test.length));
  work.run = [rows, &kernel, &table, n = test.length](int thread, int64_t rounds) {
    Rows& mine = (*rows)[static_cast<size_t>(thread)];
    for (int64_t round = 0; round < rounds; ++round) kernel.run(table, mine, n);
  };
  return work;
}

Work attention_work(const KernelTest& test, WorkingMemory& memory, int64_t most) {
  const kernels::KvType type = kv_type(test);
  const int64_t page = kernels::kv_page_layout(type, test.length).bytes;
  memory.fill(fmt::format("pages of {}, {}", to_string(type), test.length),
              [&] { return page_of(test, type, page); });
  auto attention = std::make_shared<Attention>();
  attention->test = test;
  attention->kernel = kernels::table(test.isa).kv[static_cast<int>(type)];
  attention->q = Buffer<float>(static_cast<size_t>(test.group * test.length));
  Rng rng(4);
  for (float& value : attention->q) value = static_cast<float>(rng.uniform()) - 0.5f;
  for (int thread = 0; thread < test.threads; ++thread) {
    attention->hands.push_back(
        {memory.ring(thread, page, most),
         Buffer<float>(static_cast<size_t>(kernels::attention_scratch_size(test.length))),
         Buffer<double>(static_cast<size_t>(test.group * kernels::partial_size(test.length)))});
  }
  Work work;
  work.calls = 1;
  work.bytes =
      static_cast<double>(test.kv_heads * test.depth * page) / double{kernels::kPagePositions};
  work.macs = static_cast<double>(2 * test.kv_heads * test.group * test.depth * test.length);
  work.resident = attention->hands[0].ring.bytes();
  const bool whole = type == kernels::KvType::kInt8 || type == kernels::KvType::kInt4;
  work.arithmetic = whole ? Measure::kInt8 : Measure::kFloat32;
  work.run = [attention](int thread, int64_t rounds) { attention->run(thread, rounds); };
  return work;
}

}  // namespace trit::bench
