#include "kernels/kv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "base/tensor.h"
#include "kernels/kernels.h"

namespace trit::kernels {
namespace {

using Floats = std::vector<float>;

Floats random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  Rng rng(seed);
  Floats x(static_cast<size_t>(n));
  for (float& v : x) v = scale * rng.normal();
  return x;
}

// Keys and values [count, D] of one head, stored in pages.
struct Pages {
  int64_t count, D;
  Buffer<std::byte> memory;
  std::vector<const std::byte*> pages;

  // Memory that was never written must not matter: it is filled with what does harm as a float.
  Pages(const Table& kernel, KvType type, const Floats& k, const Floats& v, int64_t head_dim)
      : count(std::ssize(k) / head_dim), D(head_dim) {
    const int64_t bytes = kv_head_page_bytes(type, D);
    memory = Buffer<std::byte>(static_cast<size_t>(pages_of(count) * bytes));
    std::memset(memory.data(), 0xFF, memory.size());
    for (int64_t p = 0; p < pages_of(count); ++p) pages.push_back(memory.data() + p * bytes);
    for (int64_t j = 0; j < count; ++j) {
      kernel.kv[static_cast<int>(type)].store(k.data() + j * D, v.data() + j * D, D,
                                              j % kPagePositions,
                                              memory.data() + j / kPagePositions * bytes);
    }
  }
};

// Outputs [group, D] and then the logs of sums [group].
Floats attend(const Table& kernel, KvType type, const Floats& q, const Pages& cache) {
  const int64_t D = cache.D, group = std::ssize(q) / D, chunks = chunks_of(cache.count);
  const int64_t stride = group * partial_size(D);
  std::vector<double> partials(static_cast<size_t>(chunks * stride));
  Floats scratch(static_cast<size_t>(attention_scratch_size(group, D)));
  for (int64_t c = 0; c < chunks; ++c) {
    kernel.kv[static_cast<int>(type)].attention_chunk(
        q.data(), group, cache.pages.data() + c * kChunkPages,
        std::min(kChunkPositions, cache.count - c * kChunkPositions), D,
        1.0f / std::sqrt(static_cast<float>(D)), scratch.data(), partials.data() + c * stride);
  }
  Floats out(static_cast<size_t>(group * (D + 1)));
  for (int64_t h = 0; h < group; ++h) {
    out[static_cast<size_t>(group * D + h)] = kernel.attention_merge(
        partials.data() + h * partial_size(D), chunks, stride, D, out.data() + h * D);
  }
  return out;
}

// The same by the definition, in double.
std::vector<double> attend_exactly(const Floats& q, const Floats& k, const Floats& v, int64_t D) {
  const int64_t group = std::ssize(q) / D, count = std::ssize(k) / D;
  std::vector<double> out(static_cast<size_t>(group * (D + 1)), 0.0);
  for (int64_t h = 0; h < group; ++h) {
    std::vector<double> p(static_cast<size_t>(count));
    double total = 0;
    for (int64_t j = 0; j < count; ++j) {
      double s = 0;
      for (int64_t d = 0; d < D; ++d) {
        s += static_cast<double>(q[static_cast<size_t>(h * D + d)]) *
             static_cast<double>(k[static_cast<size_t>(j * D + d)]);
      }
      total += p[static_cast<size_t>(j)] = std::exp(s / std::sqrt(static_cast<double>(D)));
    }
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t d = 0; d < D; ++d) {
        out[static_cast<size_t>(h * D + d)] +=
            p[static_cast<size_t>(j)] / total *
            static_cast<double>(v[static_cast<size_t>(j * D + d)]);
      }
    }
    out[static_cast<size_t>(group * D + h)] = std::log(total);
  }
  return out;
}

// Sizes of heads, and counts around the edges of blocks, pages and chunks.
constexpr int64_t kHeadSizes[] = {2, 16, 20, 64, 100, 128};
constexpr int64_t kCounts[] = {1, 5, 16, 17, 63, 64, 65, 200, 255, 256, 257, 600};

TEST(Attention, OverFloatPagesEqualsSoftmaxInDoubleAndItselfOnEveryInstructionSet) {
  for (const int64_t D : kHeadSizes) {
    for (const int64_t count : kCounts) {
      const int64_t group = count % 2 == 0 ? 1 : 3;
      const Floats q = random_floats(group * D, 1), k = random_floats(count * D, 2),
                   v = random_floats(count * D, 3);
      const std::vector<double> expected = attend_exactly(q, k, v, D);
      Floats specification;
      for (const Isa isa : available()) {
        const Table& kernel = table(isa);
        const Floats out = attend(kernel, KvType::kF32, q, Pages(kernel, KvType::kF32, k, v, D));
        if (isa == Isa::kScalar) specification = out;
        EXPECT_EQ(std::memcmp(out.data(), specification.data(), out.size() * sizeof(float)), 0)
            << to_string(isa) << " D " << D << " count " << count;
      }
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(specification[i], expected[i], 3e-6) << "D " << D << " count " << count;
      }
    }
  }
}

}  // namespace
}  // namespace trit::kernels
