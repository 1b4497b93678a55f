#include "quant/layouts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

using Bytes = std::vector<uint8_t>;

// A matrix of testdata/layouts.json (tools/make_layout_fixtures.py).
struct Golden {
  std::string name;
  int64_t rows, columns;
  Bytes bytes;
  std::vector<float> weights;
};

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<Golden> goldens(const char* part) {
  const std::string path = TRIT_SOURCE_DIR "/src/quant/testdata/layouts.json";
  std::vector<Golden> result;
  const Json file = parse_json(read_text(path), path);
  for (const Json& item : file.at(part)) {
    Golden golden{item["name"], item["rows"], item["columns"], from_hex(item["bytes"]), {}};
    const Bytes floats = from_hex(item["weights"]);
    golden.weights.resize(floats.size() / 4);
    std::memcpy(golden.weights.data(), floats.data(), floats.size());
    result.push_back(std::move(golden));
  }
  return result;
}

const PackedLayout& named(std::string_view name) {
  const auto all = layouts();
  return **std::ranges::find(all, name, [](const PackedLayout* layout) { return layout->name; });
}

struct Trits {
  Bytes packed;
  std::vector<float> scales;
};

Trits room_for_trits(const PackedLayout& layout, int64_t rows, int64_t columns) {
  return {Bytes(static_cast<size_t>(rows * packed_row_bytes(columns))),
          std::vector<float>(static_cast<size_t>(layout_scales(layout, rows, columns)))};
}

Trits read_trits(const Golden& golden) {
  const PackedLayout& layout = named(golden.name);
  Trits trits = room_for_trits(layout, golden.rows, golden.columns);
  to_canonical(layout, golden.bytes, golden.rows, golden.columns, trits.packed, trits.scales, "w");
  return trits;
}

bool has_plus_two(const Golden& golden) {
  if (!named(golden.name).plus_two) return false;
  try {
    read_trits(golden);
  } catch (const Error&) {
    return true;
  }
  return false;
}

// Calls that must throw an error with these words.
template <class Call>
void expect_refused(Call call, std::initializer_list<const char*> words) {
  try {
    call();
    ADD_FAILURE() << "accepted; expected an error with: " << *words.begin();
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
    }
  }
}

TEST(Layouts, DecodeToTheFloatsOfTheReferences) {
  for (const Golden& golden : goldens("decode")) {
    std::vector<float> weights(golden.weights.size());
    decode_weights(named(golden.name), golden.bytes, golden.rows, golden.columns, weights, "w");
    for (size_t i = 0; i < weights.size(); ++i) {
      ASSERT_EQ(weights[i], golden.weights[i]) << golden.name << " weight " << i;
    }
  }
}

TEST(Layouts, EveryLayoutHasAGolden) {
  const std::vector<Golden> all = goldens("decode");
  for (const PackedLayout* layout : layouts()) {
    EXPECT_NE(std::ranges::find(all, layout->name, &Golden::name), all.end()) << layout->name;
  }
}

TEST(Layouts, EncodeTheBytesOfTheReference) {
  for (const Golden& golden : goldens("encode")) {
    Bytes bytes(golden.bytes.size());
    encode_weights(named(golden.name), golden.weights, golden.rows, golden.columns, bytes, "w");
    EXPECT_EQ(bytes, golden.bytes) << golden.name;
  }
}

TEST(Layouts, TernaryOnesAreCanonicalTritsAndScalesAndBack) {
  int seen = 0;
  for (const Golden& golden : goldens("decode")) {
    const PackedLayout& layout = named(golden.name);
    if (!layout.ternary() || has_plus_two(golden)) continue;
    ++seen;
    const Trits trits = read_trits(golden);
    std::vector<int8_t> levels(golden.weights.size());
    unpack_trits(trits.packed, golden.rows, golden.columns, levels, "w");
    for (size_t i = 0; i < levels.size(); ++i) {
      const float scale =
          layout.tail > 0 ? trits.scales[0] : trits.scales[i / static_cast<size_t>(layout.block)];
      ASSERT_EQ(levels[i] * scale, golden.weights[i]) << golden.name << " weight " << i;
    }
    Bytes back(golden.bytes.size());
    from_canonical(layout, trits.packed, trits.scales, golden.rows, golden.columns, back, "w");
    EXPECT_EQ(back, golden.bytes) << golden.name;
  }
  EXPECT_EQ(seen, 7);
}

TEST(Layouts, ALevelOfTwoIsAWeightButNoTrit) {
  int seen = 0;
  for (const Golden& golden : goldens("decode")) {
    if (!has_plus_two(golden)) continue;
    ++seen;
    expect_refused([&] { read_trits(golden); }, {"w: row 0 column", "code 3"});
  }
  EXPECT_EQ(seen, 1);
}

TEST(Layouts, HuggingFacesPackedRows) {
  for (const Golden& golden : goldens("hugging_face")) {
    Bytes packed(static_cast<size_t>(golden.rows * packed_row_bytes(golden.columns)));
    hf_to_canonical(golden.bytes, golden.rows, golden.columns, packed, "w");
    std::vector<int8_t> levels(golden.weights.size());
    unpack_trits(packed, golden.rows, golden.columns, levels, "w");
    for (size_t i = 0; i < levels.size(); ++i) ASSERT_EQ(levels[i], golden.weights[i]) << i;
    Bytes back(golden.bytes.size());
    hf_from_canonical(packed, golden.rows, golden.columns, back);
    EXPECT_EQ(back, golden.bytes);
  }
}

// The example of the function's own documentation in transformers.
TEST(Layouts, HuggingFacesExample) {
  const Bytes bytes = {0b10100001, 0b00011000, 0b10010000, 0b00001010};
  const std::vector<int8_t> expected = {0, -1, -1, 1, -1, 1, -1, 1, 1, 0, 0, -1, 1, -1, 1, -1};
  Bytes packed(8 * 32);
  hf_to_canonical(bytes, 8, 2, packed, "w");
  std::vector<int8_t> levels(16);
  unpack_trits(packed, 8, 2, levels, "w");
  EXPECT_EQ(levels, expected);
}

// Of 256 bytes 243 are five trits, as counted by forming each; the same for the 81 of four.
TEST(Layouts, BytesThatNoTritsGiveAreRefused) {
  std::vector<bool> five(256), four(256);
  for (int v = 0; v < 243; ++v) {
    five[static_cast<size_t>((256 * v + 242) / 243)] = true;
    if (v % 3 == 0) four[static_cast<size_t>((256 * v + 242) / 243)] = true;
  }
  EXPECT_EQ(std::ranges::count(five, true), 243);
  for (const PackedLayout* layout : {&kTQ1_0, &kPTQ1_0}) {
    const size_t trits = static_cast<size_t>(layout->bytes) - 2, last = layout == &kTQ1_0 ? 4 : 2;
    for (size_t place = 0; place < trits; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        Bytes block(static_cast<size_t>(layout->bytes), 0);
        block[place] = static_cast<uint8_t>(byte);
        const bool good = (place < trits - last ? five : four)[static_cast<size_t>(byte)];
        EXPECT_EQ(!layout->check(block.data(), 1).has_value(), good) << place << " " << byte;
      }
    }
  }
  Bytes rows(4 * 54, 0);     // two rows of two blocks
  rows[3 * 54 + 33] = 0x14;  // byte 1 of the second stage, whose weights begin at 160
  std::vector<float> weights(2 * 512);
  expect_refused([&] { decode_weights(kTQ1_0, rows, 2, 512, weights, "blk"); },
                 {"blk: row 1 column 417", "0x14"});
}

// Two rows of two blocks; the last block has `high` as the upper byte of the fp16 scale at `offset`.
void expect_scale_refused(const PackedLayout& layout, size_t offset, int high) {
  const int64_t columns = 2 * layout.block;
  Bytes bytes(static_cast<size_t>(layout_bytes(layout, 2, columns, "w")), 0);
  std::vector<float> weights(static_cast<size_t>(2 * columns));
  decode_weights(layout, bytes, 2, columns, weights, "w");
  bytes[3 * static_cast<size_t>(layout.bytes) + offset + 1] = static_cast<uint8_t>(high);
  const std::string where = fmt::format("w: row 1 column {}", layout.block);
  expect_refused([&] { decode_weights(layout, bytes, 2, columns, weights, "w"); },
                 {where.c_str(), "scale", "finite"});
  if (!layout.ternary()) return;
  Trits trits = room_for_trits(layout, 2, columns);
  expect_refused([&] { to_canonical(layout, bytes, 2, columns, trits.packed, trits.scales, "w"); },
                 {where.c_str(), "finite"});
}

TEST(Layouts, ScalesThatAreNotFiniteAreRefused) {
  struct Place {
    const PackedLayout* layout;
    size_t offset;  // of an fp16 scale in a block
  };
  const Place places[] = {{&kQ8_0, 0},   {&kQ4_0, 0},   {&kQ4_K, 0}, {&kQ4_K, 2},  {&kQ6_K, 208},
                          {&kTQ1_0, 52}, {&kTQ2_0, 64}, {&kQ2_0, 0}, {&kPQ2_0, 0}, {&kPTQ1_0, 26}};
  for (const Place& place : places) {
    for (const int high : {0x7C, 0x7E, 0xFC}) {  // infinity, NaN, minus infinity
      expect_scale_refused(*place.layout, place.offset, high);
    }
  }
  Bytes bytes(64, 0);  // I2_S: 128 weights and the tail
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(bytes.data() + 32, &infinite, 4);
  std::vector<float> weights(128);
  expect_refused([&] { decode_weights(kI2_S, bytes, 1, 128, weights, "w"); },
                 {"w: its scale is inf"});
}

// Code 3 at bits whose column follows from the layout.
TEST(Layouts, ACodeOfThreeIsRefusedWithItsPlace) {
  std::vector<float> weights(2 * 256);
  Bytes tq2(2 * 66, 0);
  tq2[66 + 35] = 0b00'11'00'00;  // second row: group 1, byte 3, pair 2
  expect_refused([&] { decode_weights(kTQ2_0, tq2, 2, 256, weights, "w"); },
                 {"w: row 1 column 195 has code 3"});
  Bytes i2(2 * 64 + 32, 0);
  i2[64 + 35] = 0b00'11'00'00;  // the same byte, but pairs in reverse: pair 1
  expect_refused([&] { decode_weights(kI2_S, i2, 2, 256, weights, "w"); },
                 {"w: row 1 column 163 has code 3"});
  Bytes hf(3 * 5, 0b01010101);
  hf[1 * 5 + 4] = 0b01'11'01'01;  // row 2 * 3 + 1 of ten
  Bytes packed(10 * 32);
  expect_refused([&] { hf_to_canonical(hf, 10, 5, packed, "w"); },
                 {"w: row 7 column 4 has code 3"});
}

TEST(Layouts, RowsMustBeWholeBlocks) {
  for (const PackedLayout* layout : layouts()) {
    EXPECT_EQ(layout_bytes(*layout, 3, 2 * layout->block, "w"), 6 * layout->bytes + layout->tail);
    expect_refused([&] { layout_bytes(*layout, 3, layout->block + 1, "w"); },
                   {"w: rows have", "multiple of"});
  }
}

// A file may claim no rows of any length; nothing may be taken for them. 2^59 is a multiple of all blocks.
TEST(Layouts, NoRowsTakeNoMemory) {
  const int64_t columns = int64_t{1} << 59;
  for (const PackedLayout* layout : layouts()) {
    const Bytes bytes(static_cast<size_t>(layout->tail), 0);
    decode_weights(*layout, bytes, 0, columns, {}, "w");
    std::vector<float> scales(static_cast<size_t>(layout_scales(*layout, 0, columns)));
    if (layout->ternary()) to_canonical(*layout, bytes, 0, columns, {}, scales, "w");
  }
}

TEST(Layouts, WhatCannotBeWrittenIsRefused) {
  std::vector<float> weights(256, 1.0f);
  Bytes q8(8 * 34), q6(210);
  weights[40] = std::nanf("");
  expect_refused([&] { encode_weights(kQ8_0, weights, 1, 256, q8, "w"); }, {"w: row 0 column 40"});
  weights[40] = 1e30f;  // its block's scale is beyond fp16
  expect_refused([&] { encode_weights(kQ8_0, weights, 1, 256, q8, "w"); }, {"w: row 0 column 32"});
  expect_refused([&] { encode_weights(kQ6_K, weights, 1, 256, q6, "w"); }, {"w: row 0 column 0"});
  Bytes q4(8 * 18), q4k(144);
  expect_refused([&] { encode_weights(kQ4_0, weights, 1, 256, q4, "w"); }, {"w: row 0 column 32"});
  for (const float huge : {1e30f, 3e38f, -3e38f}) {
    weights[40] = huge;
    expect_refused([&] { encode_weights(kQ4_K, weights, 1, 256, q4k, "w"); },
                   {"w: row 0 column 0"});
  }
  const Bytes packed(64, 0);
  Bytes tq2(66), i2(96);
  expect_refused(
      [&] { from_canonical(kTQ2_0, packed, std::vector<float>{1e5f}, 1, 256, tq2, "w"); }, {"w"});
  expect_refused([&] { from_canonical(kI2_S, packed, std::vector<float>{NAN}, 1, 256, i2, "w"); },
                 {"w"});
}

// What a layout makes of weights that are distributed as a sum of two uniform ones: error / weights, Euclidean.
double relative_error(const PackedLayout& layout, double largest_error) {
  Rng rng(5);
  std::vector<float> weights(4 * 512), back(weights.size());
  for (float& w : weights) w = static_cast<float>(rng.uniform() + rng.uniform() - 1.0) * 0.05f;
  std::fill_n(weights.begin(), 256, 0.0f);
  std::fill_n(weights.begin() + 512, 256, -0.02f);
  Bytes bytes(static_cast<size_t>(layout_bytes(layout, 4, 512, "w")));
  encode_weights(layout, weights, 4, 512, bytes, "w");
  decode_weights(layout, bytes, 4, 512, back, "w");
  double error = 0, square = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_NEAR(back[i], weights[i], largest_error) << i;
    error += std::pow(static_cast<double>(back[i] - weights[i]), 2);
    square += std::pow(static_cast<double>(weights[i]), 2);
  }
  return std::sqrt(error / square);
}

// Each weight is within half a step of the scale that its group's largest weight asks for, with room for the scale's
// own rounding; over many the error is far less.
TEST(Layouts, FewBitsKeepWeightsClose) {
  EXPECT_LT(relative_error(kQ6_K, 0.05 / 32), 0.02);   // 6 bits: |w - w'| <= largest / 32
  EXPECT_LT(relative_error(kQ4_0, 0.05 / 8), 0.1);     // steps of largest / 8, one side cut off
  EXPECT_LT(relative_error(kQ4_K, 0.05 / 11), 0.075);  // 15 steps of a range, no side cut off
}

// Weights that a block holds exactly, with a scale and a minimum of its own in every group.
TEST(Layouts, FourBitsWithAMinimumFitALine) {
  std::vector<float> weights(256), back(256);
  for (size_t i = 0; i < 256; ++i) {
    const int group = static_cast<int>(i / 32), q = static_cast<int>(i % 16);
    weights[i] = static_cast<float>(4 * (group + 56) * q) - static_cast<float>(3 * (63 - group));
  }
  Bytes bytes(144);
  encode_weights(kQ4_K, weights, 1, 256, bytes, "w");
  decode_weights(kQ4_K, bytes, 1, 256, back, "w");
  EXPECT_EQ(back, weights);  // d = 4, m = 3: nothing is lost
}

TEST(Layouts, OneScaleForAllBlocksWhenTheyAgree) {
  std::vector<int8_t> levels(3 * 256, 1);
  std::fill_n(levels.begin() + 256, 256, int8_t{0});
  Bytes packed(3 * 64);
  pack_trits(levels, 3, 256, packed);
  using Scales = std::vector<float>;
  EXPECT_EQ(common_scale(kTQ2_0, packed, Scales{0.5f, 0.0f, 0.5f}, 3, 256), 0.5f);
  EXPECT_EQ(common_scale(kTQ2_0, packed, Scales{0.5f, 3.0f, 0.5f}, 3, 256), 0.5f);
  EXPECT_EQ(common_scale(kTQ2_0, packed, Scales{0.5f, 0.0f, 0.25f}, 3, 256), std::nullopt);
  EXPECT_EQ(common_scale(kTQ2_0, packed, Scales{0.5f, 0.0f, 0.0f}, 3, 256), std::nullopt);
  EXPECT_EQ(common_scale(kI2_S, packed, Scales{0.25f}, 3, 256), 0.25f);
}

}  // namespace
}  // namespace trit
