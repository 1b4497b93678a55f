// rotate_and_store and attention, one behind the other or in one, against double precision over the numbers that the
// cache's type keeps. Pages, outputs and scratch memory hold NaN before.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "kernels/cuda/kernels.h"
#include "kernels/kernels.h"

namespace trit::cuda {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Ints = std::vector<int32_t>;
using kernels::kPagePositions;
using kernels::KvType;

template <class T>
DeviceMemory on_device(const std::vector<T>& v, StreamHandle stream) {
  DeviceMemory memory(std::max<int64_t>(1, std::ssize(v)) * static_cast<int64_t>(sizeof(T)));
  copy_to_device(memory.data(), v.data(), std::ssize(v) * static_cast<int64_t>(sizeof(T)), stream);
  wait(stream);
  return memory;
}

// Rows of one sequence in a call: positions past .. past + rows - 1.
struct Piece {
  int64_t past, rows;
};
struct Case {
  KvType type;
  HeadShape shape;
  std::vector<Piece> pieces;
  bool norms = false, against_cpu = false;
};

// What the cache makes of a key or value (kernels/kv.h).
void round_to_type(KvType type, int64_t D, double* x) {
  const auto half = [](double v) {
    return static_cast<double>(f16_to_f32(f32_to_f16(static_cast<float>(v))));
  };
  if (type == KvType::kF16) std::transform(x, x + D, x, half);
  if (type == KvType::kF32 || type == KvType::kF16) return;
  const int64_t group = type == KvType::kInt8 ? D : kernels::kInt4Group;
  const float top = type == KvType::kInt8 ? 127.0f : 7.0f;
  for (int64_t first = 0; first < D; first += group) {
    const int64_t n = std::min(group, D - first);
    float most = 0;
    for (int64_t i = first; i < first + n; ++i)
      most = std::max(most, std::abs(static_cast<float>(x[i])));
    float scale = most / top;
    if (type == KvType::kInt4) scale = static_cast<float>(half(scale));
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int64_t i = first; i < first + n; ++i)
      x[i] = static_cast<double>(scale) *
             std::clamp(std::nearbyint(static_cast<float>(x[i]) * inverse), -top, top);
  }
}

class Attention {
 public:
  // Of some shapes all is aligned to 16 bytes.
  explicit Attention(const Case& c) : c_(c), width_((H() + 2 * G()) * D() + 3 * gap()), random_(7) {
    longest_ = 0;
    for (const Piece& p : c.pieces) longest_ = std::max(longest_, p.past + p.rows);
    stride_ = kernels::pages_of(longest_) + 1;
    const auto sequences = std::ssize(c.pieces);
    Ints pages(static_cast<size_t>(sequences * stride_));
    std::iota(pages.begin(), pages.end(), 0);
    std::ranges::shuffle(pages, random_);
    tables_ = on_device(pages, stream_.handle());
    const int64_t head = kv_head_bytes(c.type, D()), page = 3 * G() * head;  // of three layers
    cache_ = DeviceMemory(sequences * stride_ * page);
    poison(cache_);
    layer_ = {c.type, cache_.data() + G() * head, page, head};
    Floats cosine, sine, gains(static_cast<size_t>(D()));
    for (int64_t p = 0; p < longest_; ++p) {
      for (int64_t i = 0; i < D() / 2; ++i) {
        const double angle = static_cast<double>(p) * std::pow(1e4, -2.0 * static_cast<double>(i) /
                                                                        static_cast<double>(D()));
        cosine.push_back(static_cast<float>(std::cos(angle)));
        sine.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    for (float& g : gains) g = 1.0f + 0.3f * normal_(random_);
    cosine_host_ = cosine, sine_host_ = sine, gain_host_ = gains;
    cosine_ = on_device(cosine, stream_.handle());
    sine_ = on_device(sine, stream_.handle());
    gain_ = on_device(gains, stream_.handle());
    keys_.resize(c.pieces.size()), values_.resize(c.pieces.size());
    exact_keys_.resize(c.pieces.size()), exact_values_.resize(c.pieces.size());
    counters_ = DeviceMemory(kCounters * 4);
    fill(counters_.data(), 0, counters_.bytes(), stream_.handle());
    // What stands in the cache before.
    std::vector<Piece> before;
    for (const Piece& p : c.pieces) before.push_back({0, p.past});
    store(before);
    stream_.wait();
  }

  void expect(double mean_bound, double most_bound) {
    const Rows rows = store(c_.pieces);  // attention follows without a pause
    // A row at a time is cut otherwise into blocks.
    const Floats single = attend(rows, false, 5), alone = attend(rows, false, 1);
    EXPECT_EQ(single, alone);
    EXPECT_EQ(single, attend(rows, false, rows.T));
    compare(single, rows, mean_bound, most_bound, "single rows");
    if (std::ranges::all_of(c_.pieces, [](const Piece& p) { return p.rows == 1; })) {
      // Other keys and values in their place, then all at once; and what that has stored.
      rotate(rows, rows.other, nullptr);
      EXPECT_EQ(single, rotate(rows, rows.unturned, &single));
      EXPECT_EQ(single, attend(rows, false, 5));
    }
    compare(attend(rows, true, 5), rows, mean_bound, most_bound, "tiles");
    Ints counters(static_cast<size_t>(kCounters));
    copy_to_host(counters.data(), counters_.data(), counters_.bytes(), stream_.handle());
    stream_.wait();
    EXPECT_EQ(std::ranges::count(counters, 0), kCounters);
  }

 private:
  // The rows of a call on the device and their queries, normed and turned.
  struct Rows {
    int64_t T = 0;
    Doubles q;  // [T, H D]
    Ints sequence_of, position_of;
    DeviceMemory qkv, unturned, other, sequences, positions;
  };
  int64_t H() const { return c_.shape.H; }
  int64_t G() const { return c_.shape.G; }
  int64_t D() const { return c_.shape.D; }
  // Around keys, values and queries.
  int64_t gap() const { return H() % 4 == 0 ? 4 : 2; }
  QkvColumns columns() const {
    return {.q = 2 * (G() * D() + gap()), .k = gap(), .v = G() * D() + gap()};
  }
  void poison(const DeviceMemory& memory) {
    fill(memory.data(), 0xFF, memory.bytes(), stream_.handle());
  }
  RowSlots slots(const Rows& rows) const {
    return {.sequences = rows.sequences.as<int32_t>(),
            .positions = rows.positions.as<int32_t>(),
            .tables = tables_.as<int32_t>(),
            .table_stride = stride_,
            .longest = longest_ + 100};
  }

  // As kernels.h says, in double but for the rotation, whose float32 decides how a key is rounded.
  void turn(const float* x, int64_t position, Doubles& out) const {
    Floats v(x, x + D());
    if (c_.norms) {
      double sum = 0;
      for (const float e : v) sum += static_cast<double>(e) * static_cast<double>(e);
      const double r = 1 / std::sqrt(sum / static_cast<double>(D()) + 1e-5);
      for (size_t i = 0; i < v.size(); ++i)
        v[i] =
            static_cast<float>(static_cast<double>(v[i]) * r * static_cast<double>(gain_host_[i]));
    }
    const auto half = static_cast<size_t>(D() / 2);
    const size_t at = static_cast<size_t>(position) * half, first = out.size();
    out.resize(first + v.size());
    for (size_t i = 0; i < half; ++i) {
      const float c = cosine_host_[at + i], s = sine_host_[at + i];
      const float a = v[i] * c, b = v[i + half] * s, d = v[i + half] * c, e = v[i] * s;
      out[first + i] = static_cast<double>(a - b);
      out[first + half + i] = static_cast<double>(d + e);
    }
  }

  // Random rows at these positions into the cache, and into keys_ and values_ as the type keeps them.
  Rows store(const std::vector<Piece>& pieces) {
    Rows rows;
    Floats qkv;
    for (size_t s = 0; s < pieces.size(); ++s) {
      for (int64_t i = 0; i < pieces[s].rows; ++i) {
        rows.sequence_of.push_back(static_cast<int32_t>(s));
        rows.position_of.push_back(static_cast<int32_t>(pieces[s].past + i));
        const size_t begin = qkv.size();
        for (int64_t j = 0; j < width_; ++j) qkv.push_back(normal_(random_));
        const float* row = qkv.data() + begin;
        for (int64_t h = 0; h < H(); ++h)
          turn(row + columns().q + h * D(), rows.position_of.back(), rows.q);
        for (int64_t g = 0; g < G(); ++g) {
          turn(row + columns().k + g * D(), rows.position_of.back(), keys_[s]);
          for (auto d = keys_[s].end() - D(); d != keys_[s].end(); ++d)
            exact_keys_[s].push_back(static_cast<float>(*d));
          round_to_type(c_.type, D(), keys_[s].data() + std::ssize(keys_[s]) - D());
          const float* v = row + columns().v + g * D();
          values_[s].insert(values_[s].end(), v, v + D());
          exact_values_[s].insert(exact_values_[s].end(), v, v + D());
          round_to_type(c_.type, D(), values_[s].data() + std::ssize(values_[s]) - D());
        }
      }
    }
    rows.T = std::ssize(rows.sequence_of);
    rows.qkv = on_device(qkv, stream_.handle());
    rows.sequences = on_device(rows.sequence_of, stream_.handle());
    rows.positions = on_device(rows.position_of, stream_.handle());
    rows.unturned = on_device(qkv, stream_.handle());
    for (float& v : qkv) v = normal_(random_);
    rows.other = on_device(qkv, stream_.handle());
    if (rows.T > 0) rotate(rows, rows.qkv, nullptr);
    return rows;
  }

  // Into the pages; with attention when `like` says what comes of it.
  Floats rotate(const Rows& rows, const DeviceMemory& qkv, const Floats* like) {
    const Norm norm{c_.norms, gain_.as<float>(), 1e-5f};
    const Rotation rotation{columns(), norm, norm, cosine_.as<float>(), sine_.as<float>()};
    if (like == nullptr) {
      rotate_and_store(stream_.handle(), c_.shape, qkv.as<float>(), width_, rows.T, rotation,
                       slots(rows), layer_);
      return {};
    }
    stream_.wait();
    RowSlots where = slots(rows);
    where.apart = true;
    const DeviceMemory scratch(attention_scratch_bytes(c_.shape, 5, where.longest));
    const DeviceMemory out(std::ssize(*like) * 4);
    poison(out), poison(scratch);
    rotate_and_attend(
        stream_.handle(), c_.shape, qkv.as<float>(), width_, rows.T, rotation, where, layer_,
        out.as<float>(), H() * D(),
        {.memory = scratch.data(), .bytes = scratch.bytes(), .counters = counters_.as<uint32_t>()});
    Floats host(like->size());
    copy_to_host(host.data(), out.data(), out.bytes(), stream_.handle());
    stream_.wait();
    return host;
  }

  // With scratch memory for `together` rows: they go in so many launches.
  Floats attend(const Rows& rows, bool tiled, int64_t together) {
    // Runs of rows cut every 100 rows, but single ones.
    Ints tiles, singles;
    for (int64_t t = 0, end = 0; tiled && t < rows.T; t = end) {
      const auto of = [&](int64_t i) { return rows.sequence_of[static_cast<size_t>(i)]; };
      for (end = t; end < rows.T && end - t < 100 && of(end) == of(t);) ++end;
      if (end - t == 1) singles.push_back(static_cast<int32_t>(t));
      if (end - t > 1)
        tiles.insert(tiles.end(), {static_cast<int32_t>(t), static_cast<int32_t>(end - t)});
    }
    const DeviceMemory on_tiles = on_device(tiles, stream_.handle());
    const DeviceMemory on_singles = on_device(singles, stream_.handle());
    RowSlots where = slots(rows);
    if (tiled) {
      where.tiles = on_tiles.as<int32_t>(), where.singles = on_singles.as<int32_t>();
      where.tile_count = std::ssize(tiles) / 2, where.single_count = std::ssize(singles);
    }
    const int64_t width = H() * D();
    const DeviceMemory out(rows.T * width * 4);
    const DeviceMemory scratch(
        attention_scratch_bytes(c_.shape, std::min(rows.T, together), where.longest));
    poison(out), poison(scratch);
    attention(
        stream_.handle(), c_.shape, rows.qkv.as<float>() + columns().q, width_, rows.T, where,
        layer_, out.as<float>(), width,
        {.memory = scratch.data(), .bytes = scratch.bytes(), .counters = counters_.as<uint32_t>()});
    Floats host(static_cast<size_t>(rows.T * width));
    copy_to_host(host.data(), out.data(), out.bytes(), stream_.handle());
    stream_.wait();
    return host;
  }

  void compare(const Floats& got, const Rows& rows, double mean_bound, double most_bound,
               const char* how) {
    SCOPED_TRACE(testing::Message() << how << ", type " << to_string(c_.type) << ", H " << H()
                                    << " G " << G() << " D " << D());
    double sum = 0, most = 0;
    for (int64_t t = 0; t < rows.T; ++t) {
      const auto s = static_cast<size_t>(rows.sequence_of[static_cast<size_t>(t)]);
      const int64_t count = rows.position_of[static_cast<size_t>(t)] + 1;
      for (int64_t h = 0; h < H(); ++h) {
        const double* q = rows.q.data() + (t * H() + h) * D();
        const int64_t g = h / (H() / G());
        const Doubles expected =
            c_.against_cpu ? of_cpu(q, s, g, count) : reference(q, s, g, count);
        for (int64_t d = 0; d < D(); ++d) {
          const float v = got[static_cast<size_t>((t * H() + h) * D() + d)];
          ASSERT_TRUE(std::isfinite(v)) << "row " << t << " head " << h << " dim " << d;
          const double off = std::abs(static_cast<double>(v) - expected[static_cast<size_t>(d)]);
          ASSERT_LE(off, most_bound) << "row " << t << " head " << h << " dim " << d;
          sum += off, most = std::max(most, off);
        }
      }
    }
    const double mean = sum / static_cast<double>(got.size());
    EXPECT_LE(mean, mean_bound) << "most " << most;
  }

  Doubles reference(const double* q, size_t s, int64_t g, int64_t count) const {
    Doubles p, out(static_cast<size_t>(D()));
    for (int64_t j = 0; j < count; ++j) {
      const double* key = keys_[s].data() + (j * G() + g) * D();
      p.push_back(std::inner_product(q, q + D(), key, 0.0) / std::sqrt(static_cast<double>(D())));
    }
    const double most = *std::ranges::max_element(p);
    double sum = 0;
    for (double& v : p) sum += v = std::exp(v - most);
    for (int64_t j = 0; j < count; ++j) {
      const double* value = values_[s].data() + (j * G() + g) * D();
      for (int64_t d = 0; d < D(); ++d)
        out[static_cast<size_t>(d)] += p[static_cast<size_t>(j)] / sum * value[d];
    }
    return out;
  }

  // The CPU's scalar kernels over a cache of their own.
  Doubles of_cpu(const double* query, size_t s, int64_t g, int64_t count) const {
    const kernels::Table& cpu = kernels::table(kernels::Isa::kScalar);
    const kernels::KvRows& kv = cpu.kv[static_cast<size_t>(c_.type)];
    const int64_t page = kernels::kv_page_layout(c_.type, D()).bytes;
    std::vector<std::byte> memory(static_cast<size_t>(kernels::pages_of(count) * page));
    std::vector<const std::byte*> pages;
    for (int64_t i = 0; i < kernels::pages_of(count); ++i)
      pages.push_back(memory.data() + i * page);
    for (int64_t j = 0; j < count; ++j)
      kv.store(exact_keys_[s].data() + (j * G() + g) * D(),
               exact_values_[s].data() + (j * G() + g) * D(), D(), j % kPagePositions,
               memory.data() + j / kPagePositions * page);
    const Floats q(query, query + D());
    Floats scratch(static_cast<size_t>(kernels::attention_scratch_size(D()))), out(q.size());
    const int64_t chunks = kernels::chunks_of(count), size = kernels::partial_size(D());
    Doubles partials(static_cast<size_t>(chunks * size));
    for (int64_t c = 0; c < chunks; ++c)
      kv.attention_chunk({.q = q.data()}, pages.data() + c * kernels::kChunkPages,
                         std::min(kernels::kChunkPositions, count - c * kernels::kChunkPositions),
                         D(), 1.0f / std::sqrt(static_cast<float>(D())), scratch.data(),
                         partials.data() + c * size);
    cpu.attention_merge(partials.data(), chunks, size, D(), out.data());
    return {out.begin(), out.end()};
  }

  Case c_;
  int64_t width_, longest_ = 0, stride_ = 0;
  Stream stream_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  DeviceMemory cache_, tables_, cosine_, sine_, gain_, counters_;
  KvLayer layer_;
  Floats cosine_host_, sine_host_, gain_host_;
  std::vector<Doubles> keys_, values_;             // of a sequence [positions, G, D]
  std::vector<Floats> exact_keys_, exact_values_;  // before the cache's type
};

// float32 sums of up to 1,000 numbers near 1; or queries, weights and (of integers) products with a scale rounded to
// float16: 2^-11 of scores near 3 at most, and of values.
void expect(const Case& c) {
  const bool exact = c.type == KvType::kF32;
  Attention(c).expect(exact ? 2e-6 : 6e-4, exact ? 5e-5 : 1e-2);
}

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kInt8, KvType::kInt4};

class CudaAttention : public testing::Test {
 protected:
  void SetUp() override {
    if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  }
};

TEST_F(CudaAttention, SingleRowsOfAnyLength) {
  for (const KvType type : kTypes)
    expect({type,
            {4, 2, 128},
            {{0, 1},
             {1, 1},
             {31, 1},
             {62, 1},
             {63, 1},
             {64, 1},
             {127, 1},
             {128, 1},
             {299, 1},
             {999, 1}}});
}

TEST_F(CudaAttention, IsTheCpus) {
  for (const KvType type : kTypes)
    expect({type, {4, 2, 128}, {{0, 1}, {70, 1}, {127, 1}, {300, 1}, {40, 20}}, false, true});
}

TEST_F(CudaAttention, LongRows) {
  for (const KvType type : {KvType::kF32, KvType::kF16})
    expect({type, {2, 1, 64}, {{8191, 1}, {8200, 2}, {20000, 1}}});
}

TEST_F(CudaAttention, ManyRowsShareBlocksOtherwise) {
  for (const KvType type : {KvType::kF16, KvType::kInt8}) {
    std::vector<Piece> pieces;
    for (int64_t i = 0; i < 40; ++i) pieces.push_back({i * 37 % 41 * 30 + 20, 1});
    expect({type, {8, 8, 64}, pieces});
  }
}

TEST_F(CudaAttention, HeadsOfAnySizeAndGroup) {
  for (const KvType type : kTypes) {
    for (const int64_t D : {64, 80, 96, 100, 128, 256, 2, 38})
      expect({type, {6, 2, D}, {{70, 1}, {3, 30}, {200, 1}}});
    for (const int64_t D : {64, 96, 100, 128, 2})
      expect({type, {6, 2, D}, {{70, 1}, {127, 1}, {128, 1}, {0, 1}, {700, 1}}});
    for (const int64_t group : {1, 4, 7, 8, 9, 16, 20}) {
      expect({type, {2 * group, 2, 64}, {{150, 1}, {3, 20}, {10, 1}}});
      expect({type, {2 * group, 2, 128}, {{150, 1}, {33, 1}, {1000, 1}}});
    }
  }
}

TEST_F(CudaAttention, PromptsAtOnceAndInPieces) {
  for (const KvType type : kTypes) {
    expect({type, {4, 4, 128}, {{0, 300}}});
    expect({type, {4, 1, 100}, {{77, 129}}});
    expect({type, {2, 2, 64}, {{64, 64}}});
  }
}

TEST_F(CudaAttention, MixedBatches) {
  for (const KvType type : kTypes)
    expect({type, {8, 2, 128}, {{77, 1}, {0, 130}, {200, 1}, {61, 40}, {0, 1}, {0, 65}}});
}

TEST_F(CudaAttention, NormsOfQueriesAndKeys) {
  for (const KvType type : kTypes) {
    expect({type, {4, 2, 128}, {{40, 1}, {0, 20}}, true});
    expect({type, {4, 2, 128}, {{40, 1}, {0, 1}, {300, 1}}, true});
  }
}

}  // namespace
}  // namespace trit::cuda
