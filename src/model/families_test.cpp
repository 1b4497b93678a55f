// The families of the ternary world, from directories made here: each is told by its own marks, and the same
// model gives the same logits in every one of its forms.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/hf_config.h"
#include "model/transformer.h"
#include "quant/layouts.h"
#include "quant/packing.h"

namespace trit {
namespace {

// Rows are whole blocks of every GGUF form.
Config wide(WeightKind weights, NormForm norms, Activation activation) {
  Config c;
  c.vocabulary = 70;
  c.hidden = 256;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 64;
  c.ffn = 512;
  c.context = 64;
  c.weights = weights;
  c.norms = norms;
  c.activation = activation;
  return c;
}

// Random gains too, so that a norm in the wrong place shows.
Model random_model(const Config& config) {
  Model model = Model::random(config, 3);
  Rng rng(4);
  for (const TensorRow& row : model.table()) {
    for (int64_t i = 0; i < row.count() && row.role == TensorRole::kNorm; ++i)
      model.masters()[static_cast<size_t>(row.offset + i)] += 0.2f * rng.normal();
  }
  return model;
}

std::vector<float> logits_of(const Model& model) {
  const int64_t T = 12, V = model.config().vocabulary;
  State state(model.config(), Pass::kContinue, 1, T, T);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < T; ++i) tokens.push_back(i * 11 % 70);
  forward(model.weights(), {tokens, whole_sequences(1, T)}, state);
  std::vector<float> result(static_cast<size_t>(T * V));
  logits(model.weights(), state, 0, {result.data(), T, V});
  return result;
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

Path fresh(const std::string& name) {
  const Path directory = test_folder() / name;
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  return directory;
}

Path exported(const Model& model, HfStored stored, const std::string& name) {
  const Path directory = fresh(name);
  export_hf_model(directory, model, nullptr, stored);
  return directory;
}

std::string tensors(const Path& directory) { return read_text(directory / "model.safetensors"); }

void edit_config(const Path& directory, const std::function<void(Json&)>& change) {
  Json json = parse_json(read_text(directory / "config.json"), "config.json");
  change(json);
  write_text(directory / "config.json", json.dump());
}

// Packed -> every GGUF form -> packed, and packed -> masters -> packed: the same bytes.
TEST(Families, ConversionsComeBackBitForBit) {
  for (const Config& config : {wide(WeightKind::kTernary, NormForm::kSub, Activation::kRelu2),
                               wide(WeightKind::kTernary, NormForm::kSub, Activation::kSilu),
                               wide(WeightKind::kTernary, NormForm::kBlock, Activation::kSilu)}) {
    SCOPED_TRACE(to_string(config.norms));
    const Path first =
        exported(Model::open(exported(random_model(config), HfStored::kPacked, "made")),
                 HfStored::kPacked, "first");
    const Model model = Model::open(first);
    const std::vector<float> expected = logits_of(model);
    for (const GgufForm form :
         {GgufForm::kTrit, GgufForm::kTQ1_0, GgufForm::kTQ2_0, GgufForm::kI2_S}) {
      GgufOptions options;
      options.form = form;
      write_gguf_model(test_folder() / "form.gguf", model, nullptr, options);
      const Model back = Model::open(test_folder() / "form.gguf");
      EXPECT_EQ(logits_of(back), expected) << to_string(form);
      EXPECT_EQ(tensors(exported(back, HfStored::kPacked, "back")), tensors(first))
          << to_string(form);
    }
    const Model masters = Model::open(exported(model, HfStored::kMasters, "masters"));
    EXPECT_EQ(logits_of(masters), expected);
    EXPECT_EQ(tensors(exported(masters, HfStored::kPacked, "back")), tensors(first));
  }
}

// weight_scale multiplies in a BitNet's AutoBitLinear and divides in a LLaMA's BitLinear.
TEST(Families, TheScaleIsReadTheWayItsClassMeansIt) {
  for (const auto& [norms, multiplies] :
       {std::pair{NormForm::kSub, true}, std::pair{NormForm::kBlock, false}}) {
    const Config config = wide(WeightKind::kTernary, norms, Activation::kSilu);
    const Model model = random_model(config);
    const Path directory = exported(model, HfStored::kPacked, "scaled");
    const Safetensors file = Safetensors::open(directory);
    const float stored = file.get("model.layers.0.mlp.up_proj.weight_scale").to_f32()[0];
    const float scale = model.weights().layers[0][Projection::kUp].scale;
    EXPECT_NEAR(multiplies ? stored / scale : stored * scale, 1.0f, 1e-6f);
    // Without trit's own words the class alone says it, as in the published files.
    edit_config(directory, [](Json& json) { json.erase("trit"); });
    EXPECT_EQ(logits_of(Model::open(directory)), logits_of(model));
    edit_config(directory, [wrong = multiplies](Json& json) {
      json["quantization_config"]["linear_class"] = wrong ? "bitlinear" : "autobitlinear";
    });
    EXPECT_GT(relative_distance(logits_of(Model::open(directory)), logits_of(model)), 0.01);
  }
}

TEST(Families, PackedAndMasterAreNotMistakenForEachOther) {
  const Model model = random_model(wide(WeightKind::kTernary, NormForm::kSub, Activation::kRelu2));
  for (const auto& [stored, wrong] :
       {std::pair{HfStored::kPacked, "online"}, std::pair{HfStored::kMasters, "offline"}}) {
    const Path directory = exported(model, stored, "mistaken");
    edit_config(directory, [mode = wrong](Json& json) {
      json["quantization_config"]["quantization_mode"] = mode;
    });
    try {
      Model::open(directory);
      ADD_FAILURE() << "opened";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(wrong), std::string::npos) << error.what();
    }
  }
}

// 1bitLLM's directories call themselves llama and name the extra norms their own way.
TEST(Families, OneBitLlm) {
  const Model model = random_model(wide(WeightKind::kTernary, NormForm::kSub, Activation::kSilu));
  const Path directory = exported(model, HfStored::k1bitLLM, "1bitllm");
  // The marks of the published files, written down here and not taken from the code.
  const Safetensors file = Safetensors::open(directory);
  EXPECT_NE(file.find("model.layers.0.self_attn.inner_attn_ln.weight"), nullptr);
  EXPECT_NE(file.find("model.layers.1.mlp.ffn_layernorm.weight"), nullptr);
  const Json json = parse_json(read_text(directory / "config.json"), "config.json");
  EXPECT_EQ(json["architectures"][0], "BitnetForCausalLM");
  EXPECT_EQ(json["model_type"], "llama");
  EXPECT_FALSE(json.contains("quantization_config"));
  EXPECT_FALSE(json.contains("trit"));
  const Model opened = Model::open(directory);
  EXPECT_EQ(opened.config(), model.config());
  EXPECT_EQ(logits_of(opened), logits_of(model));
  const Model squared =
      random_model(wide(WeightKind::kTernary, NormForm::kSub, Activation::kRelu2));
  EXPECT_THROW(exported(squared, HfStored::k1bitLLM, "refused"), Error);
}

// Plain float weights that are levels times scales, one to a group of inputs or to a shard of outputs:
// found out, run on trits with float activations, and equal to the float model.
TEST(Families, FloatsThatAreLevelsTimesScales) {
  for (const bool qwen3 : {false, true}) {
    Config config = wide(WeightKind::kFloat, NormForm::kBlock, Activation::kSilu);
    config.qk_norms = qwen3;
    Model model = random_model(config);
    Rng rng(9);
    for (const TensorRow& row : model.table()) {
      if (row.role != TensorRole::kProjection) continue;
      for (int64_t i = 0; i < row.count(); ++i) {
        const int64_t r = i / row.shape[1], c = i % row.shape[1];
        const int64_t group = qwen3 ? r * 7 + c / 128 : r / (row.shape[0] / 2);
        const float scale = f16_to_f32(f32_to_f16(0.02f + 0.001f * static_cast<float>(group % 13)));
        model.masters()[static_cast<size_t>(row.offset + i)] =
            scale * static_cast<float>(static_cast<int>(rng.below(3)) - 1);
      }
    }
    const Path directory = fresh("levels");
    write_hf_model(directory, model, nullptr);
    edit_config(directory, [](Json& json) { json.erase("trit"); });
    const Model opened = Model::open(directory);
    EXPECT_EQ(opened.config().weights, WeightKind::kTernary);
    EXPECT_EQ(opened.config().inputs, InputKind::kFloat);
    EXPECT_LT(relative_distance(logits_of(opened), logits_of(model)), 1e-5);
    // Through GGUF and back to floats: the same values.
    write_gguf_model(test_folder() / "levels.gguf", opened, nullptr, {});
    const Model mapped = Model::open(test_folder() / "levels.gguf");
    EXPECT_EQ(mapped.config(), opened.config());
    EXPECT_EQ(logits_of(mapped), logits_of(opened));
    const Path back = exported(mapped, HfStored::kPacked, "floats");
    const auto weights =
        Safetensors::open(back).get("model.layers.1.mlp.down_proj.weight").to_f32();
    const TensorRow& row = *std::ranges::find(model.table(), "model.layers.1.mlp.down_proj.weight",
                                              &TensorRow::hf_name);
    EXPECT_TRUE(std::ranges::equal(
        weights, model.masters().subspan(static_cast<size_t>(row.offset), weights.size())));
  }
}

// Prism's and ggml's groups, and TQ blocks of a model with float activations, in architectures qwen3 and llama
// (whose q and k rows, and so their scales, stand in another order).
TEST(Families, GgufGroupsOfFloatActivations) {
  for (const bool qwen3 : {true, false}) {
    Config config = wide(WeightKind::kFloat, NormForm::kBlock, Activation::kSilu);
    config.qk_norms = qwen3;
    Model floats = random_model(config);
    Rng rng(10);
    for (const TensorRow& row : floats.table()) {
      if (row.role != TensorRole::kProjection) continue;
      for (int64_t i = 0; i < row.count(); ++i) {
        const int64_t group = i / row.shape[1] * 5 + i % row.shape[1] / 256;
        const float scale = f16_to_f32(f32_to_f16(0.02f + 0.001f * static_cast<float>(group % 11)));
        floats.masters()[static_cast<size_t>(row.offset + i)] =
            scale * static_cast<float>(static_cast<int>(rng.below(3)) - 1);
      }
    }
    write_hf_model(fresh("groups"), floats, nullptr);
    edit_config(test_folder() / "groups", [](Json& json) { json.erase("trit"); });
    const Model model = Model::open(test_folder() / "groups");
    ASSERT_EQ(model.config().inputs, InputKind::kFloat);
    const std::vector<float> expected = logits_of(model);
    GgufOptions options;
    options.form = GgufForm::kTQ2_0;
    write_gguf_model(test_folder() / "tq2_0.gguf", model, nullptr, options);
    EXPECT_EQ(logits_of(Model::open(test_folder() / "tq2_0.gguf")), expected);

    // The same file with its ternary tensors in other layouts, without trit's own key.
    const Gguf file = Gguf::open(test_folder() / "tq2_0.gguf");
    for (const auto& [type, layout] :
         {std::pair{GgmlType::kPQ2_0, &kPQ2_0}, std::pair{GgmlType::kPTQ1_0, &kPTQ1_0},
          std::pair{GgmlType::kQ2_0, &kQ2_0}}) {
      GgufWriter writer;
      for (const auto& [key, value] : file.metadata()) {
        if (key != "trit.inputs") writer.set(key, value);
      }
      std::vector<std::vector<uint8_t>> memory;
      memory.reserve(file.tensors().size());
      for (const GgufTensor& t : file.tensors()) {
        if (t.type != GgmlType::kTQ2_0) {
          writer.add_tensor(t.name, t.type, t.shape, t.data);
          continue;
        }
        const int64_t rows = t.shape[0], columns = t.shape[1];
        const std::span bytes(reinterpret_cast<const uint8_t*>(t.data.data()), t.data.size());
        std::vector<uint8_t> packed(static_cast<size_t>(rows * packed_row_bytes(columns)));
        std::vector<float> scales(static_cast<size_t>(rows * columns / 256)), smaller;
        to_canonical(kTQ2_0, bytes, rows, columns, packed, scales, "t");
        for (const float scale : scales)
          smaller.insert(smaller.end(), static_cast<size_t>(256 / layout->block), scale);
        auto& out =
            memory.emplace_back(static_cast<size_t>(layout_bytes(*layout, rows, columns, "t")));
        from_canonical(*layout, packed, smaller, rows, columns, out, "t");
        writer.add_tensor(t.name, type, t.shape, std::as_bytes(std::span(out)));
      }
      writer.write(test_folder() / "groups.gguf");
      const Model opened = Model::open(test_folder() / "groups.gguf");
      EXPECT_EQ(opened.config(), model.config());
      EXPECT_EQ(logits_of(opened), expected) << to_string(type) << " " << qwen3;
    }
  }
}

// Embeddings and head in 8-bit blocks: a little off, in the same place.
TEST(Families, BlocksForEmbeddingsAndBaselines) {
  Config config = wide(WeightKind::kFloat, NormForm::kBlock, Activation::kSilu);
  config.tied = false;
  const Model model = random_model(config);
  const std::vector<float> expected = logits_of(model);
  for (const auto& [form, near] :
       {std::pair{FloatForm::kQ8_0, 0.02}, std::pair{FloatForm::kQ6_K, 0.06},
        std::pair{FloatForm::kQ4_0, 0.4}, std::pair{FloatForm::kQ4_K, 0.3}}) {
    GgufOptions options;
    options.form = GgufForm::kTQ2_0;  // architecture llama, with its order of q and k
    options.embeddings = options.linears = form;
    write_gguf_model(test_folder() / "blocks.gguf", model, nullptr, options);
    EXPECT_EQ(Gguf::open(test_folder() / "blocks.gguf").get_string("general.architecture"),
              "llama");
    const double distance =
        relative_distance(logits_of(Model::open(test_folder() / "blocks.gguf")), expected);
    EXPECT_GT(distance, 1e-5) << to_string(form);
    EXPECT_LT(distance, near) << to_string(form);
  }
}

// A BitNet file that does not name its activation has the one of its architecture; one that names
// another has that.
TEST(Families, GgufActivationTrap) {
  const Model model = random_model(wide(WeightKind::kTernary, NormForm::kSub, Activation::kRelu2));
  GgufOptions options;
  options.form = GgufForm::kI2_S;
  write_gguf_model(test_folder() / "said.gguf", model, nullptr, options);
  const Gguf file = Gguf::open(test_folder() / "said.gguf");
  const auto opened_as = [&](const std::string& architecture, const std::string& activation) {
    GgufWriter writer;
    for (const auto& [key, value] : file.metadata()) {
      std::string name = key;
      if (name.starts_with("bitnet-b1.58.")) name.replace(0, 12, architecture);
      if (name.ends_with(".hidden_activation")) continue;
      writer.set(name, value);
    }
    writer.set("general.architecture", architecture);
    if (!activation.empty()) writer.set(architecture + ".hidden_activation", activation);
    for (const GgufTensor& t : file.tensors()) writer.add_tensor(t.name, t.type, t.shape, t.data);
    writer.write(test_folder() / "unsaid.gguf");
    return Model::open(test_folder() / "unsaid.gguf").config().activation;
  };
  EXPECT_EQ(opened_as("bitnet-b1.58", ""), Activation::kRelu2);
  EXPECT_EQ(opened_as("bitnet-25", ""), Activation::kRelu2);
  EXPECT_EQ(opened_as("bitnet", ""), Activation::kSilu);
  EXPECT_EQ(opened_as("bitnet", "relu2"), Activation::kRelu2);
}

}  // namespace
}  // namespace trit
