#pragma once
// What a model is: its shape and which of the published forms it has.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ops/glu.h"
#include "ops/linear.h"
#include "quant/weights.h"

namespace trit {

// Where the RMSNorms stand. A block is attention or feed-forward.
enum class NormForm : uint8_t {
  kBlock,  // LLaMA: one before each block, shared by its input projections
  kInner,  // BitNet b1.58 as the paper's training guide has it: one with a gain inside every BitLinear,
           // none before the blocks
  kInnerPlain,  // the same without gains
  kSub,  // BitNet b1.58 2B4T: kBlock plus attn_sub_norm before o_proj and ffn_sub_norm before down_proj
  kBlockInner,  // kBlock and kInner: transformers' BitLinear with use_rms_norm in a LLaMA
};
std::string_view to_string(NormForm form);  // "block", "inner", "inner_plain", "sub", "block_inner"

struct Config {
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;  // usually hidden / heads
  int64_t ffn = 0;       // width of the gated feed-forward part
  int64_t context = 2048;
  float rope_theta = 10000.0f;
  float norm_epsilon = 1e-5f;
  WeightKind weights = WeightKind::kTernary;
  InputKind inputs = InputKind::kInt8;  // what packed weights are multiplied with
  NormForm norms = NormForm::kSub;
  Activation activation = Activation::kSilu;
  bool qk_norms = false;  // an RMSNorm over every query and key head before it is rotated (Qwen3)
  bool tied = true;       // the output head is the embedding table

  bool block_norms() const {
    return norms == NormForm::kBlock || norms == NormForm::kSub || norms == NormForm::kBlockInner;
  }
  bool inner_norms() const { return inner_gains() || norms == NormForm::kInnerPlain; }
  bool inner_gains() const { return norms == NormForm::kInner || norms == NormForm::kBlockInner; }
  bool sub_norms() const { return norms == NormForm::kSub; }
  // Weights of the quantised (or, in the baseline, quantisable) linear layers, and all parameters.
  int64_t linear_parameters() const;
  int64_t parameters() const;

  bool operator==(const Config&) const = default;
};

// Throws Error naming `where`, the field, its value and what would be right.
void validate(const Config& config, std::string_view where);

// A named shape: "700M", "1.3B", "3B", "3.9B" (The Era of 1-bit LLMs: Training Tips, Code and FAQ, Table 1),
// "7B", "13B", "70B" (the shapes that the paper's figures 2 and 3 fit), "2B4T" (arXiv 2504.12285), and
// small ones for a laptop: "nano", "micro", "mini", "small".
struct Preset {
  std::string_view name;
  std::string_view about;
  Config config;  // ternary, vocabulary 32000 (small ones: to be set from the tokenizer)
};
std::span<const Preset> presets();
// Throws Error listing the names.
const Config& preset(std::string_view name);

// The model families that trit trains, as forms of one shape.
enum class Family : uint8_t {
  kBitNet,       // BitNet b1.58 with the norms of the released 2B4T model (NormForm::kSub), SiLU
  kBitNetPaper,  // BitNet b1.58 with RMSNorm inside every BitLinear
  kBitNet2B4T,   // kBitNet with squared ReLU, as released
  kBinary,       // the original BitNet's weights {-1, +1}, norms inside without gain
  kLlama,        // the full-precision baseline
};
std::string_view to_string(
    Family family);  // "bitnet", "bitnet-paper", "bitnet-2b4t", "binary", "llama"
Family family_from(std::string_view name);  // throws Error listing the names
// `config` with weights, norms and activation of the family.
Config as_family(Config config, Family family);

}  // namespace trit
