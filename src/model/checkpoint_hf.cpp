// Hugging Face directories: config.json, model.safetensors, tokenizer files.

#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr uint64_t kMaxShardBytes = 4'000'000'000;

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
};
constexpr HfForm kOwnForm{WeightKind::kFloat, NormForm::kBlock, "TritForCausalLM", "trit"};

const HfForm& hf_form(const Config& config) {
  for (const HfForm& form : kForms) {
    if (form.weights == config.weights && form.norms == config.norms) return form;
  }
  return kOwnForm;
}

// A tensor of ones that transformers asks for where the form has no gain: the norms before the
// blocks (a norm of a normed row changes nothing that int8 quantisation would see), and inner gains.
struct UnitNorm {
  std::string name;
  int64_t size;
};
std::vector<UnitNorm> unit_norms(const Config& config, std::span<const TensorRow> table) {
  std::vector<UnitNorm> norms;
  if (!config.inner_norms() || hf_form(config).model_type != "llama") return norms;
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

// Weights and norms of a directory that does not say them in trit's own words.
void infer_form(const Json& json, std::string_view where, Config& config) {
  const std::string type = json_string(json, "model_type", where);
  const bool quantised =
      json.contains("quantization_config") && !json["quantization_config"].is_null();
  if (type == "llama" && !quantised) {
    config.weights = WeightKind::kFloat;
    config.norms = NormForm::kBlock;
    return;
  }
  if (type != "bitnet" || !quantised) {
    bad_input(
        "{}: model_type '{}'{} is not a form that trit opens; it opens 'bitnet' with master "
        "weights, 'llama' "
        "without quantization_config, and what trit wrote",
        where, printable(type), quantised ? " with quantization_config" : "");
  }
  const Json& quantization = json["quantization_config"];
  const std::string mode = json_string_or(quantization, "quantization_mode", where, "offline");
  if (mode != "online") {
    bad_input("{}: quantization_mode is '{}'; trit opens master weights, 'online'", where,
              printable(mode));
  }
  config.weights = WeightKind::kTernary;
  config.norms = NormForm::kSub;
}

// The refusals of things that would change the result and that trit does not compute.
void refuse_unsupported(const Json& json, std::string_view where) {
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (json_bool_or(json, key, where, false))
      bad_input("{}: {} is true; trit's layers have no biases", where, key);
  }
  if (json.contains("rope_scaling") && !json["rope_scaling"].is_null()) {
    bad_input("{}: rope_scaling is set; trit runs plain rotary embeddings", where);
  }
}

double rope_theta(const Json& json, std::string_view where) {
  if (json.contains("rope_parameters") && json["rope_parameters"].is_object()) {
    const Json& rope = json["rope_parameters"];
    const std::string type = json_string_or(rope, "rope_type", where, "default");
    if (type != "default")
      bad_input("{}: rope_type is '{}'; trit runs 'default'", where, printable(type));
    return json_number_or(rope, "rope_theta", where, 10000.0);
  }
  return json_number_or(json, "rope_theta", where, 10000.0);
}

void read_tensor(const Safetensors& file, const TensorRow& row, const Path& path, float* out) {
  const TensorView& tensor = file.get(row.hf_name);
  if (tensor.shape != row.shape) {
    bad_input("{}: {} has shape {}; config.json asks for {}", path.string(), row.hf_name,
              to_string(tensor.shape), to_string(row.shape));
  }
  if (tensor.type != DType::kF32 && tensor.type != DType::kF16 && tensor.type != DType::kBF16) {
    bad_input("{}: {} has type {}; masters are F32, F16 or BF16", path.string(), row.hf_name,
              dtype_name(tensor.type));
  }
  to_f32(tensor.type, tensor.data, static_cast<size_t>(row.count()), out);
  for (int64_t i = 0; i < row.count(); ++i) {
    if (!std::isfinite(out[i])) {
      bad_input("{}: {} has {} at element {}; weights must be finite", path.string(), row.hf_name,
                out[i], i);
    }
  }
}

// Every tensor of the file must be one that the forward pass reads, or one known to change nothing.
void refuse_strangers(const Safetensors& file, const Config& config,
                      std::span<const TensorRow> table, const Path& path) {
  std::vector<std::string> known;
  for (const TensorRow& row : table) known.push_back(row.hf_name);
  if (config.tied) known.push_back("lm_head.weight");
  for (const UnitNorm& norm : unit_norms(config, table)) {
    known.push_back(norm.name);
    const TensorView* tensor = file.find(norm.name);
    if (tensor == nullptr) continue;
    for (const float gain : tensor->to_f32()) {
      if (gain != 1.0f)
        bad_input("{}: {} has a gain of {}; this form has ones there", path.string(), norm.name,
                  gain);
    }
  }
  std::ranges::sort(known);
  for (const std::string& name : file.names()) {
    if (!std::ranges::binary_search(known, name)) {
      bad_input("{}: tensor '{}' has no place in the model that config.json describes",
                path.string(), printable(name));
    }
  }
}

}  // namespace

OrderedJson hf_config(const Config& config, const Tokenizer* tokenizer) {
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
  if (config.weights == WeightKind::kTernary) {
    json["quantization_config"] = {
        {"quant_method", "bitnet"},
        {"linear_class", "autobitlinear"},
        {"quantization_mode", "online"},
        {"modules_to_not_convert", nullptr},
        {"use_rms_norm", config.inner_norms()},
        {"rms_norm_eps", shortest(config.norm_epsilon)},
    };
  }
  json["trit"] = {{"weights", to_string(config.weights)}, {"norms", to_string(config.norms)}};
  return json;
}

Config read_hf_config(const Path& file) {
  const std::string where = file.string();
  const Json json = parse_json(read_text(file, size_t{16} << 20), where);
  if (!json.is_object()) bad_input("{}: it is no JSON object", where);
  refuse_unsupported(json, where);
  const int64_t large = int64_t{1} << 24;
  Config config;
  config.vocabulary = json_int(json, "vocab_size", where, 1, large);
  config.hidden = json_int(json, "hidden_size", where, 1, large);
  config.ffn = json_int(json, "intermediate_size", where, 1, large);
  config.layers = json_int(json, "num_hidden_layers", where, 1, large);
  config.heads = json_int(json, "num_attention_heads", where, 1, large);
  config.kv_heads = json_int_or(json, "num_key_value_heads", where, 1, large, config.heads);
  config.head_dim = json_int_or(json, "head_dim", where, 1, large, config.hidden / config.heads);
  config.context = json_int_or(json, "max_position_embeddings", where, 1, large, 2048);
  config.norm_epsilon = static_cast<float>(json_number_or(json, "rms_norm_eps", where, 1e-5));
  config.rope_theta = static_cast<float>(rope_theta(json, where));
  config.tied = json_bool_or(json, "tie_word_embeddings", where, false);
  config.activation = from_name(json_string_or(json, "hidden_act", where, "silu"),
                                {Activation::kSilu, Activation::kRelu2}, where, "hidden_act");
  if (json.contains("trit") && json["trit"].is_object()) {
    const Json& own = json["trit"];
    config.weights = from_name(json_string(own, "weights", where),
                               {WeightKind::kFloat, WeightKind::kTernary, WeightKind::kBinary},
                               where, "trit.weights");
    config.norms =
        from_name(json_string(own, "norms", where),
                  {NormForm::kBlock, NormForm::kInner, NormForm::kInnerPlain, NormForm::kSub},
                  where, "trit.norms");
  } else {
    infer_form(json, where, config);
  }
  validate(config, where);
  return config;
}

Model Model::open_hf(const Path& directory) {
  Model model(read_hf_config(directory / "config.json"));
  const Safetensors file = Safetensors::open(directory);
  refuse_strangers(file, model.config(), model.table(), directory);
  model.allocate_masters();
  // Errors do not depend on which thread meets one first: the tensors are checked in order.
  for (const TensorRow& row : model.table_) {
    read_tensor(file, row, directory, model.masters_.data() + row.offset);
  }
  model.quantise();
  return model;
}

void write_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer) {
  TRIT_CHECK(!model.masters().empty());
  const auto as_bytes = [](const float* p) { return reinterpret_cast<const std::byte*>(p); };
  std::vector<NamedTensor> tensors;
  for (const TensorRow& row : model.table()) {
    tensors.push_back(
        {row.hf_name, {DType::kF32, row.shape, as_bytes(model.masters().data() + row.offset)}});
  }
  const std::vector<UnitNorm> units = unit_norms(model.config(), model.table());
  int64_t widest = 0;
  for (const UnitNorm& norm : units) widest = std::max(widest, norm.size);
  const std::vector<float> ones(static_cast<size_t>(widest), 1.0f);
  for (const UnitNorm& norm : units) {
    tensors.push_back({norm.name, {DType::kF32, {norm.size}, as_bytes(ones.data())}});
  }
  write_safetensors_sharded(directory, tensors, kMaxShardBytes);
  write_text(directory / "config.json", hf_config(model.config(), tokenizer).dump(2) + "\n");
  OrderedJson generation = OrderedJson::object();
  if (tokenizer != nullptr) {
    if (tokenizer->bos_id() >= 0) generation["bos_token_id"] = tokenizer->bos_id();
    if (tokenizer->eos_id() >= 0) generation["eos_token_id"] = tokenizer->eos_id();
    tokenizer->save(directory);
  }
  write_text(directory / "generation_config.json", generation.dump(2) + "\n");
}

}  // namespace trit
