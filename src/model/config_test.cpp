#include "model/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/model.h"

namespace trit {
namespace {

// Linear weights of the published shapes, in billions (The Era of 1-bit LLMs: Training Tips, Code and FAQ,
// Table 1) and of BitNet b1.58 2B4T (arXiv 2504.12285), exactly.
TEST(Presets, HaveThePublishedSizes) {
  EXPECT_NEAR(static_cast<double>(preset("700M").linear_parameters()), 0.679e9, 0.001e9);
  EXPECT_NEAR(static_cast<double>(preset("1.3B").linear_parameters()), 1.208e9, 0.001e9);
  EXPECT_NEAR(static_cast<double>(preset("3B").linear_parameters()), 3.222e9, 0.001e9);
  EXPECT_NEAR(static_cast<double>(preset("3.9B").linear_parameters()), 4.260e9, 0.001e9);
  EXPECT_EQ(preset("2B4T").linear_parameters(), 2'084'044'800);
  EXPECT_EQ(preset("2B4T").vocabulary * preset("2B4T").hidden, 328'335'360);
}

TEST(Presets, AreValidAndTheirTablesAddUp) {
  for (const Preset& row : presets()) {
    for (const char* family : {"bitnet", "bitnet-paper", "bitnet-2b4t", "binary", "llama"}) {
      const Config config = as_family(row.config, family_from(family));
      validate(config, row.name);
      int64_t sum = 0, linear = 0;
      for (const TensorRow& tensor : tensor_table(config)) {
        sum += tensor.count();
        linear += tensor.role == TensorRole::kProjection ? tensor.count() : 0;
        EXPECT_EQ(tensor.offset % 16, 0);
      }
      EXPECT_EQ(sum, config.parameters()) << row.name << " " << family;
      EXPECT_EQ(linear, config.linear_parameters()) << row.name << " " << family;
    }
  }
}

TEST(Config, NamesWhatIsWrong) {
  const auto refused = [](const std::string& field, auto change) {
    Config config = preset("nano");
    change(config);
    try {
      validate(config, "here.json");
      ADD_FAILURE() << field;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("here.json: " + field), std::string::npos)
          << error.what();
    }
  };
  refused("hidden_size", [](Config& c) { c.hidden = 0; });
  refused("vocab_size", [](Config& c) { c.vocabulary = int64_t{1} << 40; });
  refused("num_hidden_layers", [](Config& c) { c.layers = 5000; });
  refused("num_key_value_heads", [](Config& c) { c.kv_heads = 2; });  // does not divide 3
  refused("head_dim", [](Config& c) { c.head_dim = 31; });
  refused("rope_theta", [](Config& c) { c.rope_theta = 0; });
  refused("rms_norm_eps", [](Config& c) { c.norm_epsilon = -1; });
  EXPECT_THROW(preset("5T"), Error);
  EXPECT_THROW(family_from("gpt"), Error);
}

}  // namespace
}  // namespace trit
