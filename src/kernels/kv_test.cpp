#include "kernels/kv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/dtype.h"
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
    const int64_t bytes = kv_page_layout(type, D).bytes;
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
  Floats scratch(static_cast<size_t>(attention_scratch_size(D)));
  for (int64_t c = 0; c < chunks; ++c) {
    kernel.kv[static_cast<int>(type)].attention_chunk(
        {q.data(), group}, cache.pages.data() + c * kChunkPages,
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

// What a page of `type` keeps of a vector, by the definition in kv.h.
void keep(KvType type, float* x, int64_t D) {
  if (type == KvType::kF32) return;
  if (type == KvType::kF16) {
    for (int64_t d = 0; d < D; ++d) x[d] = f16_to_f32(f32_to_f16(x[d]));
    return;
  }
  const bool int8 = type == KvType::kInt8;
  const int64_t group = int8 ? D : 32;
  const float levels = int8 ? 127.0f : 7.0f;
  for (int64_t first = 0; first < D; first += group) {
    const int64_t end = std::min(first + group, D);
    float most = 0;
    for (int64_t d = first; d < end; ++d) most = std::max(most, std::fabs(x[d]));
    const float scale = int8 ? most / levels : f16_to_f32(f32_to_f16(most / levels));
    for (int64_t d = first; d < end; ++d) {
      const float level = scale == 0 ? 0 : std::nearbyint(x[d] * (1.0f / scale));
      x[d] = std::clamp(level, -levels, levels) * scale;
    }
  }
}
Floats kept(KvType type, Floats x, int64_t D) {
  for (int64_t j = 0; j < std::ssize(x) / D; ++j) keep(type, x.data() + j * D, D);
  return x;
}

// Of the outputs [group, D] alone.
double largest_error(const Floats& out, const std::vector<double>& expected, int64_t outputs) {
  double worst = 0;
  for (size_t i = 0; i < static_cast<size_t>(outputs); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(out[i]) - expected[i]));
  return worst;
}

struct TypeCase {
  KvType type;
  double arithmetic;  // error against what the page keeps
};
class AttentionTest : public testing::TestWithParam<TypeCase> {};

TEST_P(AttentionTest, EqualsSoftmaxInDoubleAndItselfOnEveryInstructionSet) {
  const auto [type, tolerance] = GetParam();
  for (const int64_t D : kHeadSizes) {
    for (const int64_t count : kCounts) {
      const int64_t group = count % 7 + 1;
      const Floats q = random_floats(group * D, 1), k = random_floats(count * D, 2),
                   v = random_floats(count * D, 3);
      Floats specification;
      for (const Isa isa : available()) {
        const Table& kernel = table(isa);
        const Floats out = attend(kernel, type, q, Pages(kernel, type, k, v, D));
        if (isa == Isa::kScalar) specification = out;
        EXPECT_EQ(std::memcmp(out.data(), specification.data(), out.size() * sizeof(float)), 0)
            << to_string(isa) << " D " << D << " count " << count;
      }
      const std::vector<double> expected = attend_exactly(q, kept(type, k, D), kept(type, v, D), D);
      EXPECT_LT(largest_error(specification, expected, std::ssize(q) + group), tolerance)
          << "D " << D << " count " << count << " group " << group;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionTest,
                         testing::Values(TypeCase{KvType::kF32, 3e-6}, TypeCase{KvType::kF16, 3e-6},
                                         TypeCase{KvType::kInt8, 1.5e-4},
                                         TypeCase{KvType::kInt4, 1.5e-4}),
                         [](const auto& info) { return std::string(to_string(info.param.type)); });

// Rows that attend together: those of one page's end, and rows that all see a whole chunk.
TEST_P(AttentionTest, RowsTogetherEqualRowsAlone) {
  const KvType type = GetParam().type;
  const int64_t rows = 15;
  for (const int64_t D : {20, 64}) {
    for (const int64_t group : {1, 2, 3, 4}) {
      for (const int64_t count : {1, 50, 242, 256}) {
        const int64_t stored = std::min(count + rows - 1, kChunkPositions), size = partial_size(D);
        const Floats q = random_floats(rows * group * D, 1), k = random_floats(stored * D, 2),
                     v = random_floats(stored * D, 3);
        for (const Isa isa : available()) {
          const Table& kernel = table(isa);
          const auto attention = kernel.kv[static_cast<int>(type)].attention_chunk;
          const Pages cache(kernel, type, k, v, D);
          Floats scratch(static_cast<size_t>(attention_scratch_size(D)));
          std::vector<double> together(static_cast<size_t>(rows * group * size)), alone = together;
          attention({q.data(), group, rows, group * D}, cache.pages.data(), count, D, 0.2f,
                    scratch.data(), together.data());
          for (int64_t r = 0; r < rows; ++r) {
            attention({q.data() + r * group * D, group}, cache.pages.data(),
                      std::min(count + r, stored), D, 0.2f, scratch.data(),
                      alone.data() + r * group * size);
          }
          for (size_t i = 0; i < alone.size(); ++i) {
            if (static_cast<int64_t>(i) % size >= 2 + D) continue;  // behind the head
            ASSERT_EQ(together[i], alone[i]) << to_string(isa) << " D " << D << " group " << group
                                             << " count " << count << " at " << i;
          }
        }
      }
    }
  }
}

// What the types cost, on normal vectors of 128: the root mean square of the error over that of the output.
TEST(KvTypes, LoseWhatTheyShould) {
  const int64_t D = 128, count = 512, group = 4;
  const Floats q = random_floats(group * D, 1), k = random_floats(count * D, 2),
               v = random_floats(count * D, 3);
  const std::vector<double> exact = attend_exactly(q, k, v, D);
  const Table& kernel = table(available().back());
  const auto error = [&](KvType type) {
    const Floats out = attend(kernel, type, q, Pages(kernel, type, k, v, D));
    double difference = 0, size = 0;
    for (size_t i = 0; i < static_cast<size_t>(group * D); ++i) {
      difference += std::pow(static_cast<double>(out[i]) - exact[i], 2);
      size += exact[i] * exact[i];
    }
    return std::sqrt(difference / size);
  };
  EXPECT_LT(error(KvType::kF16), 5e-4);
  EXPECT_LT(error(KvType::kInt8), 1.5e-2);
  EXPECT_LT(error(KvType::kInt4), 2e-1);
  EXPECT_GT(error(KvType::kInt4), error(KvType::kInt8));
}

// A NaN or an infinity must come out, never be rounded away.
TEST(KvTypes, ShowBadNumbers) {
  const int64_t D = 64, count = 70;
  for (const KvType type : {KvType::kF16, KvType::kInt8, KvType::kInt4}) {
    for (const bool in_key : {false, true}) {
      Floats q = random_floats(D, 1), k = random_floats(count * D, 2),
             v = random_floats(count * D, 3);
      (in_key ? k : v)[static_cast<size_t>(66 * D + 5)] = std::numeric_limits<float>::quiet_NaN();
      for (const Isa isa : available()) {
        const Floats out = attend(table(isa), type, q, Pages(table(isa), type, k, v, D));
        EXPECT_TRUE(std::any_of(out.begin(), out.end(), [](float x) { return std::isnan(x); }))
            << to_string(type) << " " << to_string(isa) << (in_key ? " key" : " value");
      }
    }
  }
}

TEST(KvTypes, PagesHaveTheSizesOfTheirParts) {
  // 64 positions of keys and values [128]: 2 x 64 x 128 numbers; scales 4 bytes a vector, or 2 for 32 numbers.
  EXPECT_EQ(kv_page_layout(KvType::kF32, 128).bytes, 65536);
  EXPECT_EQ(kv_page_layout(KvType::kF16, 128).bytes, 32768);
  EXPECT_EQ(kv_page_layout(KvType::kInt8, 128).bytes, 16384 + 2 * 64 * 4);
  EXPECT_EQ(kv_page_layout(KvType::kInt4, 128).bytes, 8192 + 2 * 64 * 4 * 2);
  // Values of 100 fill up to 112 columns.
  EXPECT_EQ(kv_page_layout(KvType::kInt8, 100).bytes, 64 * (100 + 112) + 2 * 64 * 4);
}

}  // namespace
}  // namespace trit::kernels
