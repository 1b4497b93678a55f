#pragma once
// config.json of a Hugging Face directory: the shape, and which of the ternary world's families it is.

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"

namespace trit {

// What weight_scale means. transformers' AutoBitLinear multiplies the output by it (microsoft's 2B4T);
// its BitLinear divides (HF1BitLLM's Llama3-8B-1.58, Falcon3-1.58bit, Falcon-E). Read the wrong way the
// model babbles without an error.
enum class HfScale : uint8_t { kMultiplies, kDivides };

struct HfModel {
  Config config;
  std::string family;  // for people
  HfStored stored = HfStored::kUnsaid;
  HfScale scale = HfScale::kDivides;
  bool may_be_levels = false;  // plain floats that may turn out to be level * scale (TriLM, Bonsai)
  bool names_of_1bitllm = false;  // inner_attn_ln and ffn_layernorm for the sub norms
};

// Throws Error naming the file, the field, its value and what would be right; refuses whatever trit would
// not run as the original does.
HfModel read_hf_model(const Path& file);
// The name of a row's tensor in such a directory.
std::string hf_name(const HfModel& model, const TensorRow& row);
// The name under which 1bitLLM's reproductions have a row's tensor.
std::string hf_name_of_1bitllm(const TensorRow& row);

// The name of a packed weight's scale.
inline std::string hf_scale_name(const std::string& weight) { return weight + "_scale"; }

// config.json of a model whose ternary weights are stored as `stored` says (not kUnsaid): what
// transformers reads, and the exact form in trit's words; of k1bitLLM what its own code reads.
OrderedJson hf_config(const Config& config, const Tokenizer* tokenizer, HfStored stored);
// What weight_scale means in the class that hf_config() names for the model.
HfScale hf_scale(const Config& config);

// A tensor of ones that transformers asks for where the form has no gain: the norms before the
// blocks (a norm of a normed row changes nothing that int8 quantisation would see), and inner gains.
struct UnitNorm {
  std::string name;
  int64_t size;
};
std::vector<UnitNorm> unit_norms(const Config& config, std::span<const TensorRow> table);

}  // namespace trit
