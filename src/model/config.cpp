#include "model/config.h"

#include <array>

#include "base/error.h"

namespace trit {
namespace {

Config shape(int64_t hidden, int64_t ffn, int64_t heads, int64_t layers, int64_t kv_heads,
             int64_t vocabulary, int64_t context) {
  Config config;
  config.vocabulary = vocabulary;
  config.hidden = hidden;
  config.layers = layers;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = hidden / heads;
  config.ffn = ffn;
  config.context = context;
  return config;
}

Config untied(Config config) {
  config.tied = false;
  return config;
}

Config released_2b4t() {
  Config config = shape(2560, 6912, 20, 30, 5, 128256, 4096);
  config.rope_theta = 500000.0f;
  return as_family(config, Family::kBitNet2B4T);
}

constexpr int64_t kLlamaVocabulary = 32000;

const std::array kPresets = {
    Preset{"nano", "0.4M linear weights, for tests", shape(96, 256, 3, 4, 3, 1024, 256)},
    Preset{"micro", "2M linear weights, minutes on a laptop", shape(192, 512, 3, 5, 3, 4096, 256)},
    Preset{"mini", "6M linear weights, about an hour on a laptop",
           shape(256, 704, 4, 8, 4, 4096, 512)},
    Preset{"small", "19M linear weights", shape(448, 1216, 7, 8, 7, 8192, 512)},
    Preset{"125M", "BitNet's 125M", shape(768, 2048, 12, 12, 12, kLlamaVocabulary, 2048)},
    Preset{"350M", "BitNet's 350M", shape(1024, 2752, 16, 24, 16, kLlamaVocabulary, 2048)},
    Preset{"700M", "the paper's 700M",
           untied(shape(1536, 4096, 24, 24, 24, kLlamaVocabulary, 2048))},
    Preset{"1.3B", "the paper's 1.3B",
           untied(shape(2048, 5460, 32, 24, 32, kLlamaVocabulary, 2048))},
    Preset{"3B", "the paper's 3B", untied(shape(3200, 8640, 32, 26, 32, kLlamaVocabulary, 2048))},
    Preset{"3.9B", "the paper's 3.9B",
           untied(shape(3200, 12800, 32, 26, 32, kLlamaVocabulary, 2048))},
    Preset{"7B", "LLaMA 7B", untied(shape(4096, 11008, 32, 32, 32, kLlamaVocabulary, 2048))},
    Preset{"13B", "LLaMA 13B", untied(shape(5120, 13824, 40, 40, 40, kLlamaVocabulary, 2048))},
    Preset{"70B", "LLaMA 2 70B, 8 key/value heads",
           untied(shape(8192, 28672, 64, 80, 8, kLlamaVocabulary, 4096))},
    Preset{"2B4T", "microsoft/bitnet-b1.58-2B-4T", released_2b4t()},
};

struct FamilyRow {
  Family family;
  std::string_view name;
  WeightKind weights;
  NormForm norms;
  Activation activation;
};
constexpr FamilyRow kFamilies[] = {
    {Family::kBitNet, "bitnet", WeightKind::kTernary, NormForm::kSub, Activation::kSilu},
    {Family::kBitNetPaper, "bitnet-paper", WeightKind::kTernary, NormForm::kInner,
     Activation::kSilu},
    {Family::kBitNet2B4T, "bitnet-2b4t", WeightKind::kTernary, NormForm::kSub, Activation::kRelu2},
    {Family::kBinary, "binary", WeightKind::kBinary, NormForm::kInnerPlain, Activation::kSilu},
    {Family::kLlama, "llama", WeightKind::kFloat, NormForm::kBlock, Activation::kSilu},
};

}  // namespace

std::string_view to_string(NormForm form) {
  switch (form) {
    case NormForm::kBlock:
      return "block";
    case NormForm::kInner:
      return "inner";
    case NormForm::kInnerPlain:
      return "inner_plain";
    case NormForm::kSub:
      return "sub";
    case NormForm::kBlockInner:
      return "block_inner";
  }
  return "?";
}

int64_t Config::linear_parameters() const {
  const int64_t attention = hidden * head_dim * (2 * heads + 2 * kv_heads);
  return layers * (attention + 3 * hidden * ffn);
}

int64_t Config::parameters() const {
  int64_t norms_per_layer = 0;
  if (block_norms()) norms_per_layer += 2 * hidden;
  if (sub_norms()) norms_per_layer += heads * head_dim + ffn;
  if (inner_gains()) norms_per_layer += 5 * hidden + heads * head_dim + ffn;
  if (qk_norms) norms_per_layer += 2 * head_dim;
  return linear_parameters() + layers * norms_per_layer + hidden +
         (tied ? 1 : 2) * vocabulary * hidden;
}

void validate(const Config& config, std::string_view where) {
  const auto within = [&](std::string_view field, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      bad_input("{}: {} is {}; it must be between {} and {}", where, field, value, low, high);
    }
  };
  within("vocab_size", config.vocabulary, 1, int64_t{1} << 24);
  within("hidden_size", config.hidden, 1, int64_t{1} << 17);
  within("num_hidden_layers", config.layers, 1, 4096);
  within("num_attention_heads", config.heads, 1, 4096);
  within("num_key_value_heads", config.kv_heads, 1, config.heads);
  within("head_dim", config.head_dim, 2, 4096);
  within("intermediate_size", config.ffn, 1, int64_t{1} << 19);
  within("max_position_embeddings", config.context, 1, int64_t{1} << 24);
  if (config.heads % config.kv_heads != 0) {
    bad_input("{}: num_key_value_heads is {}; it must divide num_attention_heads, {}", where,
              config.kv_heads, config.heads);
  }
  if (config.head_dim % 2 != 0) {
    bad_input("{}: head_dim is {}; rotary embedding needs an even one", where, config.head_dim);
  }
  if (!(config.rope_theta > 1.0f && config.rope_theta < 1e12f)) {
    bad_input("{}: rope_theta is {}; it must be between 1 and 1e12", where, config.rope_theta);
  }
  if (config.inputs == InputKind::kFloat && config.weights != WeightKind::kTernary) {
    bad_input("{}: {} weights with float inputs of packed layers; only ternary ones have them",
              where, to_string(config.weights));
  }
  if (!(config.norm_epsilon > 0.0f && config.norm_epsilon < 1.0f)) {
    bad_input("{}: rms_norm_eps is {}; it must be between 0 and 1", where, config.norm_epsilon);
  }
}

std::span<const Preset> presets() { return kPresets; }

const Config& preset(std::string_view name) {
  std::string names;
  for (const Preset& row : kPresets) {
    if (row.name == name) return row.config;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  bad_input("preset '{}' is unknown; there are {}", printable(name), names);
}

std::string_view to_string(Family family) {
  for (const FamilyRow& row : kFamilies) {
    if (row.family == family) return row.name;
  }
  return "?";
}

Family family_from(std::string_view name) {
  std::string names;
  for (const FamilyRow& row : kFamilies) {
    if (row.name == name) return row.family;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  bad_input("family '{}' is unknown; there are {}", printable(name), names);
}

Config as_family(Config config, Family family) {
  for (const FamilyRow& row : kFamilies) {
    if (row.family != family) continue;
    config.weights = row.weights;
    config.norms = row.norms;
    config.activation = row.activation;
  }
  return config;
}

}  // namespace trit
