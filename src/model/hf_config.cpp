// config.json of a Hugging Face directory <-> Config, and which family a directory is.

#include "model/hf_config.h"

#include "base/error.h"

namespace trit {
namespace {

// The forms that transformers runs. The others are written under a name that it refuses, since it
// would run them as something else without an error.
struct HfForm {
  WeightKind weights;
  NormForm norms;
  std::string_view architecture, model_type;
};
constexpr HfForm kForms[] = {
    {WeightKind::kFloat, NormForm::kBlock, "LlamaForCausalLM", "llama"},
    {WeightKind::kTernary, NormForm::kSub, "BitNetForCausalLM", "bitnet"},
    {WeightKind::kTernary, NormForm::kInner, "LlamaForCausalLM", "llama"},
    {WeightKind::kTernary, NormForm::kInnerPlain, "LlamaForCausalLM", "llama"},
    {WeightKind::kTernary, NormForm::kBlockInner, "LlamaForCausalLM", "llama"},
    {WeightKind::kTernary, NormForm::kBlock, "LlamaForCausalLM", "llama"},
};
constexpr HfForm kQwen3{WeightKind::kFloat, NormForm::kBlock, "Qwen3ForCausalLM", "qwen3"};
constexpr HfForm kOwnForm{WeightKind::kFloat, NormForm::kBlock, "TritForCausalLM", "trit"};

const HfForm& hf_form(const Config& config) {
  if (config.qk_norms) {
    return config.weights == WeightKind::kFloat && config.norms == NormForm::kBlock ? kQwen3
                                                                                    : kOwnForm;
  }
  for (const HfForm& form : kForms) {
    if (form.weights == config.weights && form.norms == config.norms) return form;
  }
  return kOwnForm;
}

// The float as its shortest decimal, 1e-05 and not 9.999999747378752e-06.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

template <class Value>
Value from_name(std::string_view name, std::initializer_list<Value> values, std::string_view where,
                std::string_view field) {
  std::string names;
  for (const Value value : values) {
    if (to_string(value) == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(to_string(value));
  }
  bad_input("{}: {} is '{}'; it must be one of {}", where, field, printable(name), names);
}

// Refuses what would change the result and what trit does not compute.
void refuse_unsupported(const Json& json, std::string_view where) {
  for (const char* key : {"attention_bias", "mlp_bias", "use_sliding_window"}) {
    if (json_bool_or(json, key, where, false))
      bad_input("{}: {} is true; trit's layers have no such thing", where, key);
  }
  if (!json.contains("rope_scaling") || json["rope_scaling"].is_null()) return;
  const Json& scaling = json["rope_scaling"];
  const std::string type = json_string_or(
      scaling, scaling.contains("rope_type") ? "rope_type" : "type", where, "unnamed");
  const bool plain = type == "default" ||
                     (type == "linear" && json_number_or(scaling, "factor", where, 0.0) == 1.0);
  if (!plain) {
    bad_input("{}: rope_scaling is '{}'; trit runs plain rotary embeddings", where,
              printable(type));
  }
}

double rope_theta(const Json& json, std::string_view where, double fallback) {
  if (json.contains("rope_parameters") && json["rope_parameters"].is_object()) {
    const Json& rope = json["rope_parameters"];
    const std::string type = json_string_or(rope, "rope_type", where, "default");
    if (type != "default")
      bad_input("{}: rope_type is '{}'; trit runs 'default'", where, printable(type));
    return json_number_or(rope, "rope_theta", where, fallback);
  }
  return json_number_or(json, "rope_theta", where, fallback);
}

// What transformers takes for a field that config.json leaves out.
struct Defaults {
  double epsilon, theta;
  int64_t head_dim;  // 0: hidden / heads
  std::string_view activation;
};
Defaults defaults_of(std::string_view model_type) {
  if (model_type == "bitnet") return {1e-5, 500000.0, 0, "relu2"};
  if (model_type == "qwen3") return {1e-6, 10000.0, 128, "silu"};
  return {1e-6, 10000.0, 0, "silu"};
}

Config read_shape(const Json& json, std::string_view where) {
  const Defaults defaults = defaults_of(json_string_or(json, "model_type", where, ""));
  const int64_t large = int64_t{1} << 24;
  Config config;
  config.vocabulary = json_int(json, "vocab_size", where, 1, large);
  config.hidden = json_int(json, "hidden_size", where, 1, large);
  config.ffn = json_int(json, "intermediate_size", where, 1, large);
  config.layers = json_int(json, "num_hidden_layers", where, 1, large);
  config.heads = json_int(json, "num_attention_heads", where, 1, large);
  config.kv_heads = json_int_or(json, "num_key_value_heads", where, 1, large, config.heads);
  config.head_dim =
      json_int_or(json, "head_dim", where, 1, large,
                  defaults.head_dim > 0 ? defaults.head_dim : config.hidden / config.heads);
  config.context = json_int_or(json, "max_position_embeddings", where, 1, large, 2048);
  config.norm_epsilon =
      static_cast<float>(json_number_or(json, "rms_norm_eps", where, defaults.epsilon));
  config.rope_theta = static_cast<float>(rope_theta(json, where, defaults.theta));
  config.tied = json_bool_or(json, "tie_word_embeddings", where, false);
  config.activation =
      from_name(json_string_or(json, "hidden_act", where, std::string(defaults.activation)),
                {Activation::kSilu, Activation::kRelu2}, where, "hidden_act");
  return config;
}

// trit's own words, where they stand.
void read_own_form(const Json& own, std::string_view where, HfModel& model) {
  Config& config = model.config;
  config.weights = from_name(json_string(own, "weights", where),
                             {WeightKind::kFloat, WeightKind::kTernary, WeightKind::kBinary}, where,
                             "trit.weights");
  config.norms = from_name(json_string(own, "norms", where),
                           {NormForm::kBlock, NormForm::kInner, NormForm::kInnerPlain,
                            NormForm::kSub, NormForm::kBlockInner},
                           where, "trit.norms");
  config.inputs = from_name(json_string_or(own, "inputs", where, "int8"),
                            {InputKind::kInt8, InputKind::kFloat}, where, "trit.inputs");
  config.qk_norms = json_bool_or(own, "qk_norms", where, false);
  model.family = "trit";
}

// How packed weights are scaled: the same tensor means opposite things in transformers' two classes.
void read_quantization(const Json& quantization, std::string_view where, HfModel& model) {
  const std::string method = json_string_or(quantization, "quant_method", where, "bitnet");
  if (method != "bitnet") {
    bad_input("{}: quant_method is '{}'; trit opens 'bitnet'", where, printable(method));
  }
  const std::string linear = json_string_or(quantization, "linear_class", where, "bitlinear");
  if (linear != "bitlinear" && linear != "autobitlinear") {
    bad_input("{}: linear_class is '{}'; it must be bitlinear or autobitlinear", where,
              printable(linear));
  }
  model.scale = linear == "autobitlinear" ? HfScale::kMultiplies : HfScale::kDivides;
  const std::string mode = json_string_or(quantization, "quantization_mode", where, "");
  if (mode == "online") model.stored = HfStored::kMasters;
  if (mode == "offline") model.stored = HfStored::kPacked;
  if (!mode.empty() && mode != "online" && mode != "offline") {
    bad_input("{}: quantization_mode is '{}'; it must be online or offline", where,
              printable(mode));
  }
}

void infer_form(const Json& json, std::string_view where, HfModel& model) {
  Config& config = model.config;
  const std::string type = json_string(json, "model_type", where);
  const Json* quantization = nullptr;
  if (json.contains("quantization_config") && json["quantization_config"].is_object())
    quantization = &json["quantization_config"];
  const auto is = [&](const char* name) {
    return json.contains("architectures") && json["architectures"].is_array() &&
           !json["architectures"].empty() && json["architectures"][0] == name;
  };
  config.weights = WeightKind::kTernary;
  if (type == "bitnet" && quantization != nullptr) {
    config.norms = NormForm::kSub;
    model.family = "BitNet b1.58 as released with 2B4T";
  } else if (type == "llama" && is("BitnetForCausalLM")) {
    config.norms = NormForm::kSub;
    model.stored = HfStored::kMasters;
    model.names_of_1bitllm = true;
    model.family = "BitNet b1.58 as reproduced by 1bitLLM";
  } else if (type == "llama" && quantization != nullptr) {
    const bool inner = json_bool_or(*quantization, "use_rms_norm", where, false);
    config.norms = inner ? NormForm::kBlockInner : NormForm::kBlock;
    model.family = inner ? "LLaMA of BitLinears with norms inside" : "LLaMA of BitLinears";
  } else if ((type == "llama" || type == "qwen3") && quantization == nullptr) {
    config.weights = WeightKind::kFloat;
    config.norms = NormForm::kBlock;
    config.qk_norms = type == "qwen3";
    model.may_be_levels = true;
    model.family = type == "llama" ? "LLaMA" : "Qwen3";
  } else {
    bad_input(
        "{}: model_type '{}' {} quantization_config is no family that trit opens; it opens bitnet "
        "(with), llama and qwen3",
        where, printable(type), quantization != nullptr ? "with" : "without");
  }
  if (quantization != nullptr) read_quantization(*quantization, where, model);
}

}  // namespace

std::vector<UnitNorm> unit_norms(const Config& config, std::span<const TensorRow> table) {
  std::vector<UnitNorm> norms;
  if (!config.inner_norms() || config.block_norms() || hf_form(config).model_type != "llama")
    return norms;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const std::string_view name : {"input_layernorm", "post_attention_layernorm"}) {
      norms.push_back({fmt::format("model.layers.{}.{}.weight", layer, name), config.hidden});
    }
  }
  for (const TensorRow& row : table) {
    if (row.role != TensorRole::kProjection || config.norms != NormForm::kInnerPlain) continue;
    const std::string stem =
        row.hf_name.substr(0, row.hf_name.size() - std::string_view(".weight").size());
    norms.push_back({stem + ".rms_norm.weight", row.shape[1]});
  }
  return norms;
}

HfScale hf_scale(const Config& config) {
  return hf_form(config).model_type == "bitnet" ? HfScale::kMultiplies : HfScale::kDivides;
}

OrderedJson hf_config(const Config& config, const Tokenizer* tokenizer, HfStored stored) {
  const HfForm& form = hf_form(config);
  OrderedJson json = {
      {"architectures", {form.architecture}},
      {"model_type", form.model_type},
      {"vocab_size", config.vocabulary},
      {"hidden_size", config.hidden},
      {"intermediate_size", config.ffn},
      {"num_hidden_layers", config.layers},
      {"num_attention_heads", config.heads},
      {"num_key_value_heads", config.kv_heads},
      {"head_dim", config.head_dim},
      {"hidden_act", to_string(config.activation)},
      {"max_position_embeddings", config.context},
      {"rms_norm_eps", shortest(config.norm_epsilon)},
      {"rope_theta", shortest(config.rope_theta)},
      {"tie_word_embeddings", config.tied},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"attention_dropout", 0.0},
      {"initializer_range", 0.02},
      {"use_cache", true},
      {"torch_dtype", "float32"},
  };
  if (tokenizer != nullptr && tokenizer->bos_id() >= 0) json["bos_token_id"] = tokenizer->bos_id();
  if (tokenizer != nullptr && tokenizer->eos_id() >= 0) json["eos_token_id"] = tokenizer->eos_id();
  if (stored == HfStored::k1bitLLM) {
    json["architectures"] = {"BitnetForCausalLM"};
    json["model_type"] = "llama";
    json["weight_bits"] = 1;
    json["input_bits"] = 8;
    return json;
  }
  if (config.weights == WeightKind::kTernary && config.inputs == InputKind::kInt8) {
    const bool packed = stored == HfStored::kPacked;
    const bool divides = packed && hf_scale(config) == HfScale::kDivides;
    json["quantization_config"] = {
        {"quant_method", "bitnet"},
        {"linear_class", divides ? "bitlinear" : "autobitlinear"},
        {"quantization_mode", packed ? "offline" : "online"},
        {"modules_to_not_convert", nullptr},
        {"use_rms_norm", config.inner_norms()},
        {"rms_norm_eps", shortest(config.norm_epsilon)},
    };
  }
  json["trit"] = {{"weights", to_string(config.weights)}, {"norms", to_string(config.norms)}};
  if (config.inputs != InputKind::kInt8) json["trit"]["inputs"] = to_string(config.inputs);
  if (config.qk_norms) json["trit"]["qk_norms"] = true;
  return json;
}

HfModel read_hf_model(const Path& file) {
  const std::string where = file.string();
  const Json json = parse_json(read_text(file, size_t{16} << 20), where);
  if (!json.is_object()) bad_input("{}: it is no JSON object", where);
  refuse_unsupported(json, where);
  HfModel model;
  model.config = read_shape(json, where);
  if (json.contains("trit") && json["trit"].is_object()) {
    read_own_form(json["trit"], where, model);
    if (json.contains("quantization_config") && json["quantization_config"].is_object())
      read_quantization(json["quantization_config"], where, model);
  } else {
    infer_form(json, where, model);
  }
  validate(model.config, where);
  return model;
}

std::string hf_name_of_1bitllm(const TensorRow& row) {
  std::string name = row.hf_name;
  for (const auto& [ours, theirs] :
       {std::pair{"attn_sub_norm", "inner_attn_ln"}, std::pair{"ffn_sub_norm", "ffn_layernorm"}}) {
    if (const size_t at = name.find(ours); at != std::string::npos)
      name.replace(at, std::string_view(ours).size(), theirs);
  }
  return name;
}

std::string hf_name(const HfModel& model, const TensorRow& row) {
  return model.names_of_1bitllm ? hf_name_of_1bitllm(row) : row.hf_name;
}

}  // namespace trit
