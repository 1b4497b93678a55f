#include "model/gguf_config.h"

#include <cmath>

#include "base/error.h"

namespace trit {
namespace {

constexpr std::string_view kOwn = "trit";
constexpr uint32_t kFormatVersion = 1;
constexpr std::string_view kPacking = "2bit-128";  // quant/packing.h

// Architectures of other tools that trit opens, and which activation one means that does not say
// (2B4T's files do not: read with SiLU they babble).
struct Foreign {
  std::string_view name;
  bool bitnet;
  Activation activation;
  bool qk_norms;
  bool permuted_qk;
  std::string_view family;
};
constexpr Foreign kForeign[] = {
    {"bitnet", true, Activation::kSilu, false, false, "BitNet b1.58"},
    {"bitnet-25", true, Activation::kRelu2, false, false, "BitNet b1.58 2B4T"},
    {"bitnet-b1.58", true, Activation::kRelu2, false, false, "BitNet b1.58 2B4T"},
    {"llama", false, Activation::kSilu, false, true, "LLaMA"},
    {"qwen3", false, Activation::kSilu, true, false, "Qwen3"},
};

const Foreign* foreign(std::string_view architecture) {
  for (const Foreign& row : kForeign) {
    if (row.name == architecture) return &row;
  }
  return nullptr;
}

template <class Value>
Value read_name(const Gguf& file, const std::string& key, std::initializer_list<Value> values) {
  const std::string name = file.get_string(key);
  std::string names;
  for (const Value value : values) {
    if (to_string(value) == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(to_string(value));
  }
  bad_input("{}: {} is '{}'; it must be one of {}", file.path().string(), key, printable(name),
            names);
}

void read_own_form(const Gguf& file, Config& config) {
  config.weights = read_name(file, "trit.weights",
                             {WeightKind::kFloat, WeightKind::kTernary, WeightKind::kBinary});
  config.norms = read_name(file, "trit.norms",
                           {NormForm::kBlock, NormForm::kInner, NormForm::kInnerPlain,
                            NormForm::kSub, NormForm::kBlockInner});
  if (file.has("trit.inputs"))
    config.inputs = read_name(file, "trit.inputs", {InputKind::kInt8, InputKind::kFloat});
  config.qk_norms = file.get_bool_or("trit.qk_norms", false);
  config.activation = read_name(file, "trit.activation", {Activation::kSilu, Activation::kRelu2});
}

// Keys under the architecture's name.
class Keys {
 public:
  Keys(const Gguf& file, std::string_view architecture)
      : file_(file), architecture_(architecture) {}
  std::string name(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }
  int64_t size(std::string_view key) const { return bounded(file_.get_uint(name(key))); }
  int64_t size_or(std::string_view key, int64_t fallback) const {
    return bounded(file_.get_uint_or(name(key), static_cast<uint64_t>(fallback)));
  }
  float number(std::string_view key) const {
    return static_cast<float>(file_.get_float(name(key)));
  }

 private:
  static int64_t bounded(uint64_t value) {
    return static_cast<int64_t>(std::min<uint64_t>(value, uint64_t{1} << 40));
  }
  const Gguf& file_;
  std::string_view architecture_;
};

void read_shape(const Gguf& file, const Keys& keys, Config& config) {
  config.context = keys.size("context_length");
  config.hidden = keys.size("embedding_length");
  config.layers = keys.size("block_count");
  config.ffn = keys.size("feed_forward_length");
  config.heads = keys.size("attention.head_count");
  config.kv_heads = keys.size_or("attention.head_count_kv", config.heads);
  config.head_dim = keys.size_or("attention.key_length",
                                 config.heads > 0 ? config.hidden / config.heads : config.hidden);
  config.norm_epsilon = keys.number("attention.layer_norm_rms_epsilon");
  config.tied = file.find_tensor("output.weight") == nullptr;
}

GgufModel read_own(const Gguf& file) {
  const std::string where = file.path().string();
  const Keys keys(file, kOwn);
  if (const int64_t version = keys.size("format_version"); version != kFormatVersion) {
    bad_input("{}: trit.format_version is {}; this trit opens version {}", where, version,
              kFormatVersion);
  }
  GgufModel model;
  model.own = true;
  model.family = "trit";
  Config& config = model.config;
  read_own_form(file, config);
  if (config.weights != WeightKind::kFloat) {
    const std::string packing = file.get_string("trit.packing");
    if (packing != kPacking) {
      bad_input("{}: trit.packing is '{}'; trit opens '{}'", where, printable(packing), kPacking);
    }
  }
  read_shape(file, keys, config);
  config.vocabulary = keys.size("vocab_size");
  config.rope_theta = keys.number("rope.freq_base");
  validate(config, where);
  return model;
}

// Refuses what would change the result and what trit does not compute.
void refuse_unsupported(const Gguf& file, const Keys& keys, const Config& config) {
  const std::string where = file.path().string();
  const std::string scaling = file.get_string_or(keys.name("rope.scaling.type"), "none");
  const double factor = file.get_float_or(keys.name("rope.scaling.factor"), 1.0);
  if (scaling != "none" && !(scaling == "linear" && factor == 1.0)) {
    bad_input("{}: {} is '{}' with factor {}; trit runs plain rotary embeddings", where,
              keys.name("rope.scaling.type"), printable(scaling), factor);
  }
  if (const int64_t rotated = keys.size_or("rope.dimension_count", config.head_dim);
      rotated != config.head_dim) {
    bad_input("{}: {} is {}; trit rotates whole heads, {}", where,
              keys.name("rope.dimension_count"), rotated, config.head_dim);
  }
  for (const char* key : {"expert_count", "attention.sliding_window"}) {
    if (const int64_t value = keys.size_or(key, 0); value != 0)
      bad_input("{}: {} is {}; trit's layers have no such thing", where, keys.name(key), value);
  }
}

// Whether the layers are ternary, and what they multiply, from the type of their first matrix.
void read_weight_kind(const Gguf& file, GgufModel& model) {
  Config& config = model.config;
  const PackedLayout* layout = packed_layout(file.get_tensor("blk.0.attn_q.weight").type);
  const bool ternary = layout != nullptr && layout->ternary();
  config.weights = ternary || model.bitnet ? WeightKind::kTernary : WeightKind::kFloat;
  if (config.weights != WeightKind::kTernary || model.bitnet) return;
  // BitLinears have one scale to a matrix; forms made for smaller groups belong to models whose
  // activations are not quantised, and so do SpectraSuite's, which say so only by their name.
  const std::string name = file.get_string_or("general.name", "");
  const bool groups = layout == &kQ2_0 || layout == &kPQ2_0 || layout == &kPTQ1_0;
  const bool trilm = name.find("TriLM") != std::string::npos;
  config.inputs = groups || trilm ? InputKind::kFloat : InputKind::kInt8;
  if (file.has("trit.inputs"))
    config.inputs = read_name(file, "trit.inputs", {InputKind::kInt8, InputKind::kFloat});
}

GgufModel read_foreign(const Gguf& file, const Foreign& row) {
  const Keys keys(file, row.name);
  GgufModel model;
  model.family = row.family;
  model.bitnet = row.bitnet;
  model.permuted_qk = row.permuted_qk;
  Config& config = model.config;
  read_shape(file, keys, config);
  config.rope_theta = static_cast<float>(file.get_float_or(keys.name("rope.freq_base"), 10000.0));
  config.norms = row.bitnet ? NormForm::kSub : NormForm::kBlock;
  config.qk_norms = row.qk_norms;
  config.activation = row.activation;
  if (file.has(keys.name("hidden_activation"))) {
    config.activation =
        read_name(file, keys.name("hidden_activation"), {Activation::kSilu, Activation::kRelu2});
  }
  const GgufTensor& embedding = file.get_tensor("token_embd.weight");
  if (embedding.shape.size() != 2) {
    bad_input("{}: token_embd.weight has shape {}; it must be [vocabulary, width]",
              file.path().string(), to_string(embedding.shape));
  }
  config.vocabulary = embedding.shape[0];
  read_weight_kind(file, model);
  refuse_unsupported(file, keys, config);
  validate(config, file.path().string());
  return model;
}

void write_shape(GgufWriter& writer, std::string_view architecture, const Config& config) {
  const auto size = [&](std::string_view key, int64_t value) {
    writer.set(fmt::format("{}.{}", architecture, key), static_cast<uint32_t>(value));
  };
  size("vocab_size", config.vocabulary);
  size("context_length", config.context);
  size("embedding_length", config.hidden);
  size("block_count", config.layers);
  size("feed_forward_length", config.ffn);
  size("attention.head_count", config.heads);
  size("attention.head_count_kv", config.kv_heads);
  size("attention.key_length", config.head_dim);
  size("rope.dimension_count", config.head_dim);
  writer.set(fmt::format("{}.rope.freq_base", architecture), config.rope_theta);
  writer.set(fmt::format("{}.attention.layer_norm_rms_epsilon", architecture), config.norm_epsilon);
}

}  // namespace

GgufModel read_gguf_model(const Gguf& file) {
  const std::string architecture = file.get_string("general.architecture");
  if (architecture == kOwn) return read_own(file);
  if (const Foreign* row = foreign(architecture)) return read_foreign(file, *row);
  std::string names(kOwn);
  for (const Foreign& row : kForeign) names += fmt::format(", {}", row.name);
  bad_input("{}: general.architecture is '{}'; trit opens {}", file.path().string(),
            printable(architecture), names);
}

std::string_view foreign_architecture(const Config& config) {
  const bool binary = config.weights == WeightKind::kBinary;
  if (!binary && config.weights == WeightKind::kTernary && config.inputs == InputKind::kInt8 &&
      config.norms == NormForm::kSub && !config.qk_norms) {
    return config.activation == Activation::kRelu2 ? "bitnet-b1.58" : "bitnet";
  }
  if (!binary && config.norms == NormForm::kBlock && config.activation == Activation::kSilu)
    return config.qk_norms ? "qwen3" : "llama";
  bad_input(
      "no GGUF architecture but trit's has {} weights with {} norms and {}; write trit's form",
      to_string(config.weights), to_string(config.norms), to_string(config.activation));
}

void write_own_config(GgufWriter& writer, const Config& config) {
  const auto text = [&](std::string_view key, std::string_view value) {
    writer.set(fmt::format("trit.{}", key), std::string(value));
  };
  writer.set("general.architecture", std::string(kOwn));
  writer.set("trit.format_version", kFormatVersion);
  text("weights", to_string(config.weights));
  text("norms", to_string(config.norms));
  if (config.inputs != InputKind::kInt8) text("inputs", to_string(config.inputs));
  if (config.qk_norms) writer.set("trit.qk_norms", true);
  text("activation", to_string(config.activation));
  if (config.weights != WeightKind::kFloat) text("packing", kPacking);
  write_shape(writer, kOwn, config);
}

void write_foreign_config(GgufWriter& writer, const Config& config, uint32_t file_type) {
  const std::string architecture(foreign_architecture(config));
  writer.set("general.architecture", architecture);
  writer.set("general.file_type", file_type);
  write_shape(writer, architecture, config);
  writer.set(architecture + ".attention.value_length", static_cast<uint32_t>(config.head_dim));
  if (foreign(architecture)->bitnet)
    writer.set(architecture + ".hidden_activation", std::string(to_string(config.activation)));
  if (config.weights != WeightKind::kFloat)
    writer.set("trit.inputs", std::string(to_string(config.inputs)));
}

std::string gguf_scale_name(const TensorRow& row) {
  return row.gguf_name.substr(0, row.gguf_name.size() - std::string_view(".weight").size()) +
         ".scale";
}

}  // namespace trit
