#include "ops/tile_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "base/tensor.h"
#include "quant/packing.h"

namespace trit {
namespace {

// A ternary layer in tiles, and its packing.
struct TiledLayer {
  TiledLayer(TileForm form, int64_t outputs, int64_t inputs, float scale, uint64_t seed)
      : packed(static_cast<size_t>(outputs * packed_row_bytes(inputs))),
        tiles(static_cast<size_t>(tiled_bytes(form, outputs, inputs))) {
    Rng rng(seed);
    std::vector<int8_t> levels(static_cast<size_t>(outputs * inputs));
    for (auto& level : levels) level = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
    pack_trits(levels, outputs, inputs, packed);
    tile_trits(form, packed, outputs, inputs, 0, {tiles.data(), tiles.size()});
    layer.outputs = outputs;
    layer.inputs = inputs;
    layer.kind = WeightKind::kTernary;
    layer.packed = packed.data();
    layer.scale = scale;
    layer.tiles = tiles.data();
    layer.tile_form = form;
  }
  Linear layer;
  std::vector<uint8_t> packed;
  Buffer<uint8_t> tiles;
};

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = rng.normal();
  return x;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Pieces of 256 and of 128 rows, the last ones not whole.
constexpr int64_t kRows[] = {1, 3, 5, 16, 17, 40, 130};

TEST(TileProduct, HasTheBitsOfTheCanonicalPacking) {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const int64_t outputs : {70, 300}) {
      for (const int64_t rows : kRows) {
        const int64_t inputs = 150;
        const TiledLayer tiled(form, outputs, inputs, 0.03f, 1);
        Linear packed = tiled.layer;
        packed.tiles = nullptr;
        const std::vector<float> x = random_floats(rows * inputs, 2);
        std::vector<float> y[2];
        for (const bool in_tiles : {false, true}) {
          const Linear& layer = in_tiles ? tiled.layer : packed;
          Workspace workspace;
          y[in_tiles].assign(static_cast<size_t>(rows * outputs), -1.0f);
          linear_forward(layer, prepare_input(layer, {x.data(), rows, inputs}, workspace),
                         {y[in_tiles].data(), rows, outputs}, workspace);
        }
        EXPECT_TRUE(same_bits(y[0], y[1])) << to_string(form) << ' ' << outputs << ' ' << rows;
      }
    }
  }
}

TEST(TileProduct, GatedHasTheBitsOfItsThreeParts) {
  for (const TileForm form : {TileForm::kTwoBit, TileForm::kBase3}) {
    for (const Activation activation : {Activation::kSilu, Activation::kRelu2}) {
      for (const int64_t outputs : {70, 300}) {
        for (const int64_t rows : kRows) {
          const int64_t inputs = 150;
          const TiledLayer gate(form, outputs, inputs, 0.03f, 1),
              up(form, outputs, inputs, 0.5f, 2);
          ASSERT_TRUE(multiply_gated(gate.layer, up.layer));
          const std::vector<float> x = random_floats(rows * inputs, 3);
          Workspace workspace;
          const LinearInput input = prepare_input(gate.layer, {x.data(), rows, inputs}, workspace);
          std::vector<float> g(static_cast<size_t>(rows * outputs), -1.0f), u = g, y = g,
                                                                            expected = g;
          const auto matrix = [&](std::vector<float>& m) {
            return Matrix{m.data(), rows, outputs};
          };
          linear_forward(gate.layer, input, matrix(g), workspace);
          linear_forward(up.layer, input, matrix(u), workspace);
          glu_forward(activation, matrix(g), matrix(u), matrix(expected));
          gated_tiles_forward(activation, gate.layer, up.layer, input, matrix(y), workspace);
          EXPECT_TRUE(same_bits(y, expected)) << to_string(form) << ' ' << outputs << ' ' << rows;
        }
      }
    }
  }
}

TEST(TileProduct, GatesOnlyLayersThatShareShapeFormAndInput) {
  const TiledLayer gate(TileForm::kTwoBit, 64, 100, 1.0f, 1);
  const TiledLayer base3(TileForm::kBase3, 64, 100, 1.0f, 1);
  const TiledLayer wider(TileForm::kTwoBit, 80, 100, 1.0f, 1);
  EXPECT_FALSE(multiply_gated(gate.layer, base3.layer));
  EXPECT_FALSE(multiply_gated(gate.layer, wider.layer));
  Linear normed = gate.layer;
  const std::vector<float> gain(100, 1.0f);
  normed.norm_gain = gain.data();
  EXPECT_FALSE(multiply_gated(gate.layer, normed));
  Linear packed = gate.layer;
  packed.tiles = nullptr;
  EXPECT_FALSE(multiply_gated(packed, packed));
}

}  // namespace
}  // namespace trit
