#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/test_folder.h"
#include "formats/gguf.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "quant/tiles.h"

namespace trit {
namespace {

constexpr int64_t kRows = 7;

std::vector<float> logits_of(const Model& model) {
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2};
  State state(model.config(), Pass::kContinue, 1, 32, kRows);
  forward(model.weights(), {tokens, whole_sequences(1, kRows)}, state);
  std::vector<float> out(static_cast<size_t>(kRows * model.config().vocabulary));
  logits(model.weights(), state, 0, {out.data(), kRows, model.config().vocabulary});
  return out;
}

Model open_with_tiles(const Path& file, const char* tiles) {
  setenv("TRIT_TILES", tiles, 1);
  Model model = Model::open_to_run(file);
  unsetenv("TRIT_TILES");
  return model;
}

// Widths that are no multiple of any block; norms inside the projections in one form, shared in the other.
Config odd_shape(Family family) {
  Config config = as_family(preset("nano"), family);
  config.vocabulary = 40;
  config.hidden = 72;
  config.heads = 6;
  config.kv_heads = 3;
  config.head_dim = 12;
  config.ffn = 200;
  return config;
}

TEST(Arrange, TilesGiveTheBitsOfThePackedLevels) {
  for (const Family family : {Family::kBitNet, Family::kBitNetPaper, Family::kBinary}) {
    const Path file = test_folder() / "arrange.gguf";
    write_gguf_model(file, Model::random(odd_shape(family), 5), nullptr, {});
    const std::vector<float> expected = logits_of(Model::open(file));
    for (const char* tiles : {"2-bit", "base-3"}) {
      const Model model = open_with_tiles(file, tiles);
      const Linear& linear = model.weights().layers[0].projections[0];
      EXPECT_EQ(linear.packed, nullptr);
      EXPECT_EQ(to_string(linear.tile_form), tiles);
      const std::vector<float> out = logits_of(model);
      EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
          << to_string(family) << ' ' << tiles;
    }
  }
}

// Heads, embeddings and float matrices, where they lie in the file and copied.
TEST(Arrange, WhatStaysInTheFileGivesTheSameBits) {
  for (const Family family : {Family::kBitNet, Family::kBitNet2B4T, Family::kLlama}) {
    const Path file = test_folder() / "arrange_map.gguf";
    write_gguf_model(file, Model::random(odd_shape(family), 5), nullptr, {});
    const std::vector<float> expected = logits_of(Model::open(file));
    for (const char* map : {"on", "off", "auto"}) {
      setenv("TRIT_MAP", map, 1);
      const std::vector<float> out = logits_of(Model::open_to_run(file));
      unsetenv("TRIT_MAP");
      EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
          << to_string(family) << ' ' << map;
    }
  }
}

// By hand: 2 layers of 72 x 72, 36 x 72 twice, 72 x 72, 200 x 72 twice and 72 x 200, each with a scale of four bytes.
TEST(Arrange, CountsTheBytesThatRun) {
  const Path file = test_folder() / "arrange_bytes.gguf";
  Config config = odd_shape(Family::kBitNet);
  config.layers = 2;
  write_gguf_model(file, Model::random(config, 5), nullptr, {});
  const int64_t of_72 = 5 * 64, of_200 = 13 * 64;  // a tile of 16 rows
  EXPECT_EQ(open_with_tiles(file, "2-bit").stored_linear_bytes(),
            2 * (5 * of_72 * 2 + 3 * of_72 * 2 + 13 * of_72 * 2 + 5 * of_200 + 7 * 4));
  const int64_t base3_72 = 16 * 64 + 128, base3_200 = 40 * 64 + 128;  // a tile of 64 rows
  EXPECT_EQ(open_with_tiles(file, "base-3").stored_linear_bytes(),
            2 * (2 * base3_72 * 2 + base3_72 * 2 + 4 * base3_72 * 2 + 2 * base3_200 + 7 * 4));
}

// The file with one byte of a tensor changed.
Path damaged(const Path& from, const std::string& tensor, size_t at, uint8_t value) {
  const Gguf file = Gguf::open(from);
  GgufWriter writer;
  for (const auto& [key, held] : file.metadata()) writer.set(key, held);
  std::vector<std::byte> bytes;
  for (const GgufTensor& t : file.tensors()) {
    std::span<const std::byte> data = t.data;
    if (t.name == tensor) {
      bytes.assign(data.begin(), data.end());
      bytes.at(at) = std::byte{value};
      data = bytes;
    }
    writer.add_tensor(t.name, t.type, t.shape, data);
  }
  const Path to = test_folder() / "arrange_damaged.gguf";
  writer.write(to);
  return to;
}

std::string refusal(const Path& file, const char* tiles) {
  try {
    open_with_tiles(file, tiles);
  } catch (const Error& error) {
    unsetenv("TRIT_TILES");
    return error.what();
  }
  return "";
}

// They are checked while they become tiles: the first row of the last matrix, and a filling behind its 200 inputs.
TEST(Arrange, RefusesInvalidLevels) {
  const Path whole = test_folder() / "arrange_whole.gguf";
  Config config = odd_shape(Family::kBitNet);
  config.layers = 2;
  write_gguf_model(whole, Model::random(config, 5), nullptr, {});
  for (const char* tiles : {"2-bit", "base-3"}) {
    for (const size_t at : {size_t{0}, size_t{63}}) {
      const Path file = damaged(whole, "blk.1.ffn_down.weight", at, 0xFF);
      EXPECT_NE(refusal(file, tiles).find("blk.1.ffn_down.weight has "), std::string::npos)
          << tiles << ' ' << at << ": " << refusal(file, tiles);
    }
  }
}

TEST(Arrange, RefusesAnUnknownWayToMap) {
  const Path file = test_folder() / "arrange_way.gguf";
  write_gguf_model(file, Model::random(odd_shape(Family::kBitNet), 5), nullptr, {});
  setenv("TRIT_MAP", "yes", 1);
  EXPECT_EQ(refusal(file, "2-bit"), "TRIT_MAP is \"yes\", expected auto, on or off");
  unsetenv("TRIT_MAP");
}

TEST(Arrange, RefusesAnUnknownForm) {
  const Path file = test_folder() / "arrange_form.gguf";
  write_gguf_model(file, Model::random(odd_shape(Family::kBitNet), 5), nullptr, {});
  try {
    open_with_tiles(file, "3-bit");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "TRIT_TILES is \"3-bit\", expected auto, 2-bit or base-3");
  }
  unsetenv("TRIT_TILES");
}

}  // namespace
}  // namespace trit
