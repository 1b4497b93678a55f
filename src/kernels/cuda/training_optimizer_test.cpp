#include <utility>

#include "kernels/cuda/test_rows.h"
#include "quant/mma_tiles.h"
#include "quant/packing.h"

namespace trit::cuda {
namespace {

kernels::AdamStep some_step() {
  return {.keep = 1.0f - 1e-3f * 0.1f,
          .rate = 1.5e-3f,
          .beta1 = 0.9f,
          .one_minus_beta1 = 0.1f,
          .beta2 = 0.95f,
          .one_minus_beta2 = 0.05f,
          .correction2 = 1.7f,
          .epsilon = 1e-8f,
          .gradient_scale = 0.37f};
}

// Two matrices whose tiles alternate, a binary one, one of floats with a copy in bfloat16, a vector.
struct Model {
  struct Shape {
    int64_t rows, columns;
    WeightKind kind;
  };
  static constexpr Shape kShapes[] = {
      {37, 260, WeightKind::kTernary}, {37, 260, WeightKind::kTernary},
      {16, 8200, WeightKind::kBinary}, {5, 1001, WeightKind::kFloat},
      {1, 333, WeightKind::kFloat},    {33, 131, WeightKind::kTernary}};
  std::vector<ParameterTensor> tensors;
  int64_t size = 0;
  DeviceMemory tiles, scales, rounded;
  std::vector<int64_t> tile_offsets;

  explicit Model(StreamHandle stream) {
    int64_t bytes = 0, scale_count = 0;
    for (const Shape& s : kShapes) {
      ParameterTensor t{.offset = size, .rows = s.rows, .columns = s.columns, .kind = s.kind};
      t.decays = s.rows > 1;
      size += (s.rows * s.columns + 15) / 16 * 16;
      tensors.push_back(t);
      tile_offsets.push_back(bytes);
      if (s.kind == WeightKind::kFloat) continue;
      bytes += mma_bytes(s.rows, s.columns);
      scale_count += mma_tiles(s.rows);
    }
    tiles = poisoned<uint8_t>(bytes, stream);
    scales = poisoned<float>(scale_count, stream);
    rounded = poisoned<uint16_t>(5 * 1001, stream);
    tensors[3].rounded = rounded.data();
    int64_t scale = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      ParameterTensor& t = tensors[i];
      if (t.kind == WeightKind::kFloat) continue;
      t.tiles = tiles.as<uint8_t>() + tile_offsets[i];
      t.tile_stride = mma_tile_bytes(t.columns);
      t.tile_scales = scales.as<float>() + scale;
      scale += mma_tiles(t.rows);
      if (i > 1) continue;
      t.tiles = tiles.as<uint8_t>() + static_cast<int64_t>(i) * t.tile_stride;
      t.tile_scales = scales.as<float>() + i;
      t.tile_stride *= 2, t.scale_stride = 2;
    }
  }
};

struct Expected {
  std::vector<uint8_t> packed;
  WeightQuantizer quantizer;
};
Expected quantised(const ParameterTensor& t, const std::vector<float>& masters) {
  const std::span<const float> w(masters.data() + t.offset,
                                 static_cast<size_t>(t.rows * t.columns));
  Expected e{{}, fit_quantizer(t.kind, w, "w")};
  std::vector<int8_t> levels(w.size());
  quantize_weights(e.quantizer, w, levels);
  e.packed.resize(static_cast<size_t>(t.rows * packed_row_bytes(t.columns)));
  pack_trits(levels, t.rows, t.columns, e.packed);
  return e;
}

void expect_quantised(const Model& model, const ParameterPlan& plan,
                      const std::vector<float>& masters, const std::vector<float>& before,
                      StreamHandle stream) {
  const auto tiles = on_host<uint8_t>(model.tiles, stream);
  const auto scales = on_host<float>(model.scales, stream);
  std::vector<QuantizeCounts> counts(static_cast<size_t>(plan.quantised()));
  copy_to_host(counts.data(), plan.counts(),
               plan.quantised() * static_cast<int64_t>(sizeof(QuantizeCounts)), stream);
  wait(stream);
  size_t which = 0;
  for (const ParameterTensor& t : model.tensors) {
    if (t.kind == WeightKind::kFloat) continue;
    SCOPED_TRACE(fmt::format("quantised matrix {}", which));
    const Expected now = quantised(t, masters);
    std::vector<uint8_t> want(static_cast<size_t>(mma_bytes(t.rows, t.columns)));
    mma_tile_trits(now.packed, t.rows, t.columns, want.data(), mma_tile_bytes(t.columns));
    for (int64_t tile = 0; tile < mma_tiles(t.rows); ++tile) {
      const int64_t at = t.tiles - model.tiles.as<uint8_t>() + tile * t.tile_stride;
      const int64_t bytes = mma_tile_bytes(t.columns);
      EXPECT_EQ(
          std::memcmp(tiles.data() + at, want.data() + tile * bytes, static_cast<size_t>(bytes)), 0)
          << "tile " << tile;
      const int64_t scale = t.tile_scales - model.scales.as<float>() + tile * t.scale_stride;
      EXPECT_EQ(scales[static_cast<size_t>(scale)], now.quantizer.scale);
    }
    const QuantizeCounts& c = counts[which++];
    EXPECT_EQ(c.scale, now.quantizer.scale);
    EXPECT_EQ(c.threshold, now.quantizer.threshold);
    const TritCounts trits = count_trits(now.packed, t.rows, t.columns);
    EXPECT_EQ(static_cast<int64_t>(c.zeros), trits.zero);
    if (before.empty()) continue;
    EXPECT_EQ(static_cast<int64_t>(c.flips), count_flips(quantised(t, before).packed, now.packed));
  }
}

TEST(CudaAdamw, GivesTheCpusBitsAndLevels) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  const Model model(s);
  const ParameterPlan plan(model.tensors, s);
  std::vector<float> p = random_values(model.size, 1, 0.02f),
                     m = random_values(model.size, 2, 0.01f),
                     v = random_values(model.size, 3, 0.001f),
                     g = random_values(model.size, 4, 0.1f);
  for (float& x : v) x = std::fabs(x);
  const DeviceMemory dp = on_device(p, s), dm = on_device(m, s), dv = on_device(v, s),
                     dg = on_device(g, s);
  const DeviceMemory step = on_device(std::vector{some_step()}, s);
  const DeviceMemory flag = on_device(std::vector<int32_t>{0}, s);
  const Scratch scratch{.not_finite = flag.as<int32_t>()};
  quantize_parameters(s, plan, dp.as<float>(), scratch);
  expect_quantised(model, plan, p, {}, s);
  const auto copy_of = [&](const std::vector<float>& masters) {
    std::vector<uint16_t> halves;
    for (int64_t i = 0; i < 5 * 1001; ++i)
      halves.push_back(f32_to_bf16(masters[static_cast<size_t>(model.tensors[3].offset + i)]));
    return halves;
  };
  EXPECT_EQ(on_host<uint16_t>(model.rounded, s), copy_of(p));

  const std::vector<float> before = p;
  adamw_step(s, plan, step.as<kernels::AdamStep>(), dg.as<float>(), dp.as<float>(), dm.as<float>(),
             dv.as<float>(), scratch);
  for (const ParameterTensor& t : model.tensors) {
    kernels::AdamStep here = some_step();
    if (!t.decays) here.keep = 1.0f;
    scalar().adamw(here, t.rows * t.columns, g.data() + t.offset, p.data() + t.offset,
                   m.data() + t.offset, v.data() + t.offset);
  }
  EXPECT_EQ(on_host<float>(dp, s), p);
  EXPECT_EQ(on_host<float>(dm, s), m);
  EXPECT_EQ(on_host<float>(dv, s), v);
  expect_quantised(model, plan, p, before, s);
  EXPECT_EQ(on_host<uint16_t>(model.rounded, s), copy_of(p));
  EXPECT_EQ(on_host<int32_t>(flag, s)[0], 0);

  p[7] = std::numeric_limits<float>::quiet_NaN();
  copy_to_device(dp.data(), p.data(), dp.bytes(), s);
  quantize_parameters(s, plan, dp.as<float>(), scratch);
  EXPECT_EQ(on_host<int32_t>(flag, s)[0], 1);
}

TEST(CudaGradientNorm, IsTheNormAndClips) {
  if (devices().empty()) GTEST_SKIP() << "no NVIDIA device";
  const Stream stream;
  const StreamHandle s = stream.handle();
  for (const int64_t count : {1, 7, 4096, 3000003}) {
    const std::vector<float> g = random_values(count, 9, 3.0f);
    double want = 0;
    for (const float x : g) want += static_cast<double>(x) * static_cast<double>(x);
    want = std::sqrt(want);
    const DeviceMemory dg = on_device(g, s), norm = poisoned<double>(1, s),
                       factor = poisoned<float>(1, s), memory(gradient_norm_scratch_bytes());
    const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
    for (const double most : {0.0, want * 2, want / 2}) {
      gradient_norm(s, dg.as<float>(), count, most, norm.as<double>(), factor.as<float>(), scratch);
      EXPECT_NEAR(on_host<double>(norm, s)[0] / want, 1.0, 1e-12);
      EXPECT_NEAR(on_host<float>(factor, s)[0], most > 0 && most < want ? 0.5f : 1.0f, 1e-6f);
    }
  }
}

TEST(CudaTokenOrder, SortsRowsByTokenAndKeepsTheirOrder) {
  const std::vector<int32_t> tokens = {3, 0, 3, 2, 0, 3};
  EXPECT_EQ(token_order(tokens, 4), (std::vector<int32_t>{1, 4, 3, 0, 2, 5}));
}

}  // namespace
}  // namespace trit::cuda
