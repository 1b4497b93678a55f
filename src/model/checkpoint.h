#pragma once
// Models in memory and on disk: a Hugging Face directory (training), one GGUF file (inference).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace trit {

// What one quantisation of the masters did.
struct QuantisationStats {
  int64_t weights = 0;  // ternary or binary weights of the model
  int64_t zeros = 0;
  int64_t flips = 0;  // levels that differ from the quantisation before (0 the first time)
};

// A model and the memory behind its Weights. Movable, not copyable.
//
// With masters (made at random, or opened from a Hugging Face directory) the float32 parameters are
// there to be trained, and quantise() renews the packed levels that the forward pass reads. From a GGUF
// file the Weights point into the mapping, nothing is copied, and masters() is empty.
class Model {
 public:
  // Normal(0, 0.02) matrices (o_proj and down_proj divided by sqrt(2 layers)), gains of one; the
  // same for the same seed on every machine. Quantised.
  static Model random(const Config& config, uint64_t seed);
  // A GGUF file that trit wrote, or a Hugging Face directory in one of trit's forms. Throws Error that
  // names the file and what is wrong with it; never opens what it would not run correctly.
  static Model open(const Path& path);

  const Config& config() const { return weights_.config; }
  const Weights& weights() const { return weights_; }
  std::span<const TensorRow> table() const { return table_; }
  std::span<float> masters() { return {masters_.data(), masters_.size()}; }
  std::span<const float> masters() const { return {masters_.data(), masters_.size()}; }

  // Packs the masters of the ternary and binary projections. Throws Error naming a tensor that is not finite.
  QuantisationStats quantise();
  // Counts over the packed levels as they are.
  QuantisationStats levels() const;

  // Bytes of the weights as stored: packed levels and scales, embedding, head, norms.
  int64_t stored_bytes() const;
  // Bytes that the forward pass of one token reads: the same less all but one row of the embedding table
  // (unless it is the head).
  int64_t bytes_per_token() const;

 private:
  explicit Model(const Config& config);
  static Model open_hf(const Path& directory);
  static Model open_gguf(const Path& file);
  void allocate_masters();

  Weights weights_;
  std::vector<TensorRow> table_;
  Buffer<float> masters_;
  std::vector<Buffer<uint8_t>> packed_;  // by row of the table; empty where nothing is packed
  std::shared_ptr<const void> mapping_;  // the open file that weights point into
};

// The tokenizer that lies with the model at `path` (directory or GGUF file), if there is one.
std::optional<Tokenizer> open_tokenizer(const Path& path);

// Writes config.json, generation_config.json and model.safetensors (in shards of at most 4 GB) of a
// model with masters into `directory`, which exists. transformers' BitNetForCausalLM or
// LlamaForCausalLM opens it as is; forms that transformers does not know carry an architecture name
// that it refuses.
void write_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer);

// config.json of a Hugging Face directory in one of trit's forms <-> Config.
OrderedJson hf_config(const Config& config, const Tokenizer* tokenizer);
Config read_hf_config(const Path& file);

struct GgufOptions {
  std::string name;                // general.name
  std::string description;         // general.description, left out when empty
  std::string license;             // general.license, left out when empty
  std::string chat_template;       // tokenizer.chat_template, left out when empty
  DType embeddings = DType::kF32;  // type of the embedding table and the head
  DType linears = DType::kF32;     // type of the baseline's linear weights
};
// Writes one GGUF v3 file: packed levels as I8 tensors [outputs, packed_row_bytes(inputs)] with one
// float32 scale each ("blk.N.<projection>.scale"), norms in float32, tokenizer and config as metadata
// under the architecture "trit" (docs/formats.md).
void write_gguf_model(const Path& path, const Model& model, const Tokenizer* tokenizer,
                      const GgufOptions& options);

}  // namespace trit
