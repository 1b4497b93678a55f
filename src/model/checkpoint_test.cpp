#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/transformer.h"
#include "quant/packing.h"

namespace trit {
namespace {

Path temporary(const std::string& name) { return test_folder() / ("checkpoint_" + name); }

Config small(Family family) {
  Config c = preset("nano");
  c.vocabulary = 61;
  c.hidden = 40;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 10;
  c.ffn = 72;
  c.layers = 2;
  c.context = 64;
  c.rope_theta = 5000.0f;
  c.tied = family != Family::kLlama;
  return as_family(c, family);
}

// Random gains too, so that a norm in the wrong place shows.
Model trained_like(Family family) {
  Model model = Model::random(small(family), 11);
  Rng rng(12);
  for (const TensorRow& row : model.table()) {
    for (int64_t i = 0; i < row.count() && row.role == TensorRole::kNorm; ++i) {
      model.masters()[static_cast<size_t>(row.offset + i)] += 0.2f * rng.normal();
    }
  }
  return model;
}

struct Result {
  std::vector<float> hidden, logits;
};
Result run(const Model& model) {
  const int64_t T = 23, V = model.config().vocabulary;
  State state(model.config(), Pass::kContinue, 1, T, T);
  std::vector<int32_t> tokens(T);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 61);
  forward(model.weights(), {tokens, whole_sequences(1, T)}, state);
  Result result{{state.hidden.data, state.hidden.data + state.hidden.size()},
                std::vector<float>(static_cast<size_t>(T * V))};
  logits(model.weights(), state, 0, {result.logits.data(), T, V});
  return result;
}

Path written_hf(const Model& model, const std::string& name) {
  const Path directory = temporary(name);
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  write_hf_model(directory, model, nullptr);
  return directory;
}

class CheckpointTest : public testing::TestWithParam<Family> {};

TEST_P(CheckpointTest, HuggingFaceDirectoryKeepsEveryBit) {
  const Model model = trained_like(GetParam());
  const Path directory = written_hf(model, "hf");
  const Model back = Model::open_masters(directory);
  EXPECT_EQ(back.config(), model.config());
  ASSERT_EQ(back.masters().size(), model.masters().size());
  EXPECT_EQ(
      std::memcmp(back.masters().data(), model.masters().data(), model.masters().size_bytes()), 0);
  EXPECT_EQ(run(back).logits, run(model).logits);
  const Model to_run = Model::open(directory);
  EXPECT_TRUE(to_run.masters().empty());
  EXPECT_EQ(run(to_run).logits, run(model).logits);
}

TEST_P(CheckpointTest, GgufIsTheSameModel) {
  const Model model = trained_like(GetParam());
  write_gguf_model(temporary("model.gguf"), model, nullptr, {});
  const Model back = Model::open(temporary("model.gguf"));
  EXPECT_EQ(back.config(), model.config());
  EXPECT_TRUE(back.masters().empty());
  const Result ours = run(model), theirs = run(back);
  EXPECT_EQ(theirs.hidden, ours.hidden);
  EXPECT_EQ(theirs.logits, ours.logits);
  EXPECT_EQ(back.levels().zeros, model.levels().zeros);
  EXPECT_EQ(back.stored_bytes(),
            GetParam() == Family::kLlama ? model.stored_bytes() : back.stored_bytes());

  // From one GGUF to another, and with half-precision embeddings.
  GgufOptions half;
  half.embeddings = half.linears = FloatForm::kF16;
  write_gguf_model(temporary("half.gguf"), back, nullptr, half);
  const Result rounded = run(Model::open(temporary("half.gguf")));
  const auto [low, high] = std::minmax_element(ours.logits.begin(), ours.logits.end());
  double error = 0;
  for (size_t i = 0; i < ours.logits.size(); ++i) {
    error +=
        std::pow(static_cast<double>(rounded.logits[i]) - static_cast<double>(ours.logits[i]), 2);
  }
  EXPECT_LT(std::sqrt(error / static_cast<double>(ours.logits.size())),
            0.02 * static_cast<double>(*high - *low));
  EXPECT_LT(std::filesystem::file_size(temporary("half.gguf")),
            std::filesystem::file_size(temporary("model.gguf")));
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointTest,
                         testing::Values(Family::kBitNet, Family::kBitNetPaper, Family::kBitNet2B4T,
                                         Family::kBinary, Family::kLlama));

void expect_refused(const Path& path, const std::string& word) {
  try {
    Model::open(path);
    ADD_FAILURE() << "accepted; expected an error with: " << word;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(path.stem().string()), std::string::npos) << message;
    EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
  }
}

TEST(HuggingFace, RefusesConfigsThatItWouldRunWrongly) {
  const Path directory = written_hf(trained_like(Family::kBitNet), "config");
  const std::string whole = read_text(directory / "config.json");
  const auto with = [&](const char* key, OrderedJson value) {
    Json json = parse_json(whole, "config.json");
    json[key] = std::move(value);
    write_text(directory / "config.json", json.dump());
  };
  const std::vector<std::pair<const char*, OrderedJson>> cases = {
      {"hidden_size", -1},
      {"hidden_size", "big"},
      {"hidden_size", 41},
      {"vocab_size", 62},
      {"num_hidden_layers", 3},
      {"num_hidden_layers", 1},
      {"head_dim", 9},
      {"num_key_value_heads", 3},
      {"hidden_act", "gelu"},
      {"rms_norm_eps", 0},
      {"rope_theta", -3},
      {"rope_scaling", {{"type", "yarn"}}},
      {"attention_bias", true},
      {"mlp_bias", true},
      {"trit", {{"weights", "five"}, {"norms", "sub"}}},
      {"trit", {{"weights", "ternary"}, {"norms", "block"}}},
  };
  for (const auto& [key, value] : cases) {
    with(key, value);
    SCOPED_TRACE(std::string(key) + " = " + value.dump());
    expect_refused(directory, "");
  }
  with("trit", nullptr);  // without trit's own words the released form is recognised
  EXPECT_EQ(Model::open(directory).config().norms, NormForm::kSub);
  Json packed = parse_json(whole, "config.json");
  packed["trit"] = nullptr;
  packed["quantization_config"]["quantization_mode"] = "offline";
  write_text(directory / "config.json", packed.dump());
  expect_refused(directory, "offline");
  write_text(directory / "config.json", "{\"model_type\": ");
  expect_refused(directory, "config.json");
}

// A config that asks for terabytes beside a small file: refused by shape, before memory is taken.
TEST(HuggingFace, AbsurdShapesTakeNoMemory) {
  const Path directory = written_hf(trained_like(Family::kBitNet), "absurd");
  Json json = parse_json(read_text(directory / "config.json"), "config.json");
  json["vocab_size"] = int64_t{1} << 24;
  json["intermediate_size"] = int64_t{1} << 19;
  write_text(directory / "config.json", json.dump());
  expect_refused(directory, "shape");
  try {
    Model::open_masters(directory);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("shape"), std::string::npos) << error.what();
  }
}

TEST(HuggingFace, RefusesTensorsThatDoNotFit) {
  const Model model = trained_like(Family::kBitNet);
  const auto written = [&](const std::function<void(std::vector<NamedTensor>&)>& change) {
    const Path directory = written_hf(model, "tensors");
    const Safetensors file = Safetensors::open(directory);
    std::vector<NamedTensor> tensors;
    for (const std::string& name : file.names()) tensors.push_back({name, file.get(name)});
    change(tensors);
    write_safetensors(directory / "model.safetensors", tensors);
    return directory;
  };
  expect_refused(written([](auto& t) { t.pop_back(); }), "missing");
  expect_refused(written([](auto& t) {
                   t.push_back({"model.layers.0.mlp.secret.weight", t[0].tensor});
                 }),
                 "secret");
  expect_refused(written([](auto& t) { std::swap(t[0].tensor.shape[0], t[0].tensor.shape[1]); }),
                 "shape");
  std::vector<float> bad(static_cast<size_t>(61 * 40), 0.5f);
  bad[77] = std::numeric_limits<float>::quiet_NaN();
  expect_refused(written([&](auto& t) {
                   for (NamedTensor& named : t) {
                     if (named.name == "model.embed_tokens.weight") {
                       named.tensor.data = reinterpret_cast<const std::byte*>(bad.data());
                     }
                   }
                 }),
                 "element 77");
}

// A GGUF file of the model, changed on the way: keys or tensors.
Path changed_gguf(
    const std::function<void(GgufWriter&, std::string&, std::vector<std::byte>&)>& tensor_change,
    const std::function<void(GgufWriter&)>& key_change = {}) {
  write_gguf_model(temporary("whole.gguf"), trained_like(Family::kBitNet), nullptr, {});
  const Gguf file = Gguf::open(temporary("whole.gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  if (key_change) key_change(writer);
  std::vector<std::vector<std::byte>> memory;
  memory.reserve(file.tensors().size());
  for (const GgufTensor& tensor : file.tensors()) {
    std::string name = tensor.name;
    memory.emplace_back(tensor.data.begin(), tensor.data.end());
    if (tensor_change) tensor_change(writer, name, memory.back());
    if (!name.empty()) writer.add_tensor(name, tensor.type, tensor.shape, memory.back());
  }
  writer.write(temporary("changed.gguf"));
  return temporary("changed.gguf");
}

TEST(GgufModel, RefusesWhatItWouldRunWrongly) {
  const auto key = [](const char* name, GgufValue value) {
    return changed_gguf({}, [&](GgufWriter& w) { w.set(name, std::move(value)); });
  };
  expect_refused(key("general.architecture", std::string("llama")), "llama");
  expect_refused(key("trit.format_version", uint32_t{2}), "2");
  expect_refused(key("trit.weights", std::string("quaternary")), "quaternary");
  expect_refused(key("trit.norms", std::string("inner")), "_norm");  // tensors of another form
  expect_refused(key("trit.packing", std::string("2bit-64")), "2bit-64");
  expect_refused(key("trit.block_count", uint32_t{3}), "blk.2");
  expect_refused(key("trit.block_count", uint32_t{1}), "blk.1");
  expect_refused(key("trit.embedding_length", uint32_t{80}), "token_embd");
  expect_refused(key("trit.attention.head_count_kv", uint32_t{3}), "3");
  expect_refused(key("trit.weights", std::string("binary")), "zeros");
  expect_refused(key("trit.rope.freq_base", -1.0f), "rope_theta");

  const auto bytes = [](const std::string& tensor, size_t at, uint8_t value) {
    return changed_gguf(
        [&, at, value](GgufWriter&, std::string& name, std::vector<std::byte>& data) {
          if (name == tensor) data[at] = std::byte{value};
        });
  };
  expect_refused(bytes("blk.1.ffn_up.weight", 5, 0xFF), "blk.1.ffn_up.weight");  // code 3
  expect_refused(bytes("blk.0.attn_q.scale", 3, 0xBF), "blk.0.attn_q.scale");    // negative
  expect_refused(changed_gguf([](GgufWriter&, std::string& name, std::vector<std::byte>& data) {
                   if (name == "blk.0.attn_norm.weight")
                     std::fill_n(data.begin(), 4, std::byte{0xFF});  // NaN
                 }),
                 "blk.0.attn_norm.weight");
  expect_refused(changed_gguf([](GgufWriter&, std::string& name, auto&) {
                   if (name == "blk.0.ffn_norm.weight") name.clear();
                 }),
                 "blk.0.ffn_norm.weight");
}

TEST(GgufModel, OpensNothingThatIsNoModel) {
  write_text(temporary("text.gguf"), "no model at all");
  expect_refused(temporary("text.gguf"), "text");
  expect_refused(temporary("missing.gguf"), "missing");
}

}  // namespace
}  // namespace trit
