#pragma once
// Models in memory and on disk: a Hugging Face directory (training), one GGUF file (inference).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/huge_buffer.h"
#include "base/json.h"
#include "model/model.h"
#include "model/parallel.h"
#include "text/tokenizer.h"

namespace trit {

// What one quantisation of the masters did.
struct QuantisationStats {
  int64_t weights = 0;  // ternary or binary weights of the model
  int64_t zeros = 0;
  int64_t flips = 0;  // levels that differ from the quantisation before (0 the first time)
};

// Seconds that open_to_run() took for its parts.
struct LoadTimes {
  double read = 0;     // metadata, float tensors checked
  double arrange = 0;  // levels checked and made into tiles, what else moves into memory
  double check = 0;    // kernels tried
};

// A model and the memory behind its Weights. Movable, not copyable.
//
// With masters (random(), open_masters()) the float32 parameters are there to be trained, and
// quantise() renews the packed levels that the forward pass reads. A model that was opened to be run has
// none: its Weights point into the mapped file wherever they can be run as they lie there.
class Model {
 public:
  // Normal(0, 0.02) matrices (o_proj and down_proj divided by sqrt(2 layers)), gains of one; the
  // same for the same seed on every machine. Quantised.
  static Model random(const Config& config, uint64_t seed);
  // A GGUF file or a Hugging Face directory of a family that docs/formats.md lists. Throws Error that
  // names the file and what is wrong with it; never opens what it would not run correctly. The kernels
  // are tried on some of the weights first (model/kernel_check.h).
  static Model open(const Path& path);
  // The same, arranged to be run: see arrange(). For whoever needs only the forward pass.
  static Model open_to_run(const Path& path);
  // The same of a rank's part of the model (model/parallel.h): the rest stays in the file.
  static Model open_to_run(const Path& path, const Ranks& ranks);
  // A Hugging Face directory with full-precision weights in one of the forms that trit trains.
  static Model open_masters(const Path& directory);

  const Config& config() const { return weights_.config; }
  // Where it came from, for people: "BitNet b1.58 2B4T (Hugging Face, packed)". Empty for random().
  const std::string& origin() const { return origin_; }
  const Weights& weights() const { return weights_; }
  const LoadTimes& load_times() const { return load_times_; }
  std::span<const TensorRow> table() const { return table_; }
  std::span<float> masters() { return {masters_.data(), masters_.size()}; }
  std::span<const float> masters() const { return {masters_.data(), masters_.size()}; }

  // Packs the masters of the ternary and binary projections. Throws Error naming a tensor that is not finite.
  QuantisationStats quantise();
  // The same with levels that `levels` writes, for row `row` of the table; it returns their scale. Called from all threads.
  using MakeLevels = std::function<float(size_t row, std::span<int8_t> levels)>;
  QuantisationStats quantise(const MakeLevels& levels);
  // Counts over the packed levels as they are; not after arrange().
  QuantisationStats levels() const;

  // Packed levels that meet int8 inputs become tiles (quant/tiles.h), of the form that choose_tile_form() names for
  // each, in huge pages; all threads at once, and the file's pages leave memory on the way. What the kernels
  // read as it is stays in the file when that is mapped in huge pages (a head of floats in pages of any size), and moves
  // into such otherwise; TRIT_MAP=on or off decides instead.
  // Afterwards the model runs faster, and cannot be written, counted or trained any more.
  void arrange();

  // Bytes of the weights as stored: packed levels and scales, embedding, head, norms.
  int64_t stored_bytes() const;
  int64_t stored_linear_bytes() const;  // of the projections alone
  // Bytes that the forward pass of one token reads: the same less all but one row of the embedding table
  // (unless it is the head).
  int64_t bytes_per_token() const;

 private:
  friend class ModelBuilder;
  explicit Model(const Config& config);
  void allocate_masters();
  void arrange(size_t row, uint8_t* to);
  bool is_tiled(size_t row) const;
  bool of_file(size_t row) const;
  bool file_will_do() const;
  bool is_here(const TensorRow& row) const;
  Linear& product_of(const TensorRow& row);
  int64_t stored_bytes(const TensorRow& row) const;

  std::string origin_;
  Weights weights_;
  std::vector<TensorRow> table_;
  Buffer<float> masters_;
  std::vector<Buffer<uint8_t>> packed_;   // by row of the table; empty where nothing is packed
  std::vector<Buffer<float>> floats_;     // by row: run scales, or a norm's gains
  std::vector<Buffer<std::byte>> dense_;  // by row: float tensors that could not stay in the file
  std::vector<std::string>
      unchecked_;  // by row: what errors call levels that nobody has checked yet
  std::vector<std::shared_ptr<const void>> files_;  // open files that weights point into
  HugeBuffer arranged_;
  LoadTimes load_times_;
  Share layers_here_;  // of the pipeline's stage
  bool head_here_ = true;
};

// Reads all tensors of a GGUF file and compares them with its checksum. False when the file has none, or
// `path` is a directory; throws Error when they differ.
bool check_tensors(const Path& path);

// The tokenizer that lies with the model at `path` (directory or GGUF file), if there is one.
std::optional<Tokenizer> open_tokenizer(const Path& path);

// Writes config.json, generation_config.json and model.safetensors (in shards of at most 4 GB) of a
// model with masters into `directory`, which exists. transformers' BitNetForCausalLM or
// LlamaForCausalLM opens it as is; forms that transformers does not know carry an architecture name
// that it refuses.
void write_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer);

// How ternary weights stand in a Hugging Face directory.
enum class HfStored : uint8_t {
  kUnsaid,   // config.json does not say: uint8 tensors are packed, float ones are masters
  kMasters,  // full-precision weights, quantised by absmean at load
  kPacked,   // uint8, four trits a byte (quant/layouts.h), with a weight_scale beside it
  k1bitLLM,  // kMasters under the names and marks of 1bitLLM's reproductions
};
// Writes any model but a binary one as transformers reads it: ternary weights packed, or as bfloat16 masters
// that absmean turns into the same levels and scale; everything else as it is. Weights with float
// activations become plain floats, level * scale.
void export_hf_model(const Path& directory, const Model& model, const Tokenizer* tokenizer,
                     HfStored stored);

// How full-precision weights are written.
enum class FloatForm : uint8_t { kAsTheyAre, kF32, kF16, kBF16, kQ8_0, kQ6_K, kQ4_0, kQ4_K };
// How packed weights are written to GGUF.
enum class GgufForm : uint8_t {
  kTrit,   // architecture "trit": the canonical packing, memory-mapped
  kTQ1_0,  // for llama.cpp: rows are multiples of 256
  kTQ2_0,  // the same
  kI2_S,   // for Microsoft's bitnet.cpp: rows are multiples of 128
};
std::string_view to_string(
    FloatForm form);  // "keep", "f32", "f16", "bf16", "q8_0", "q6_k", "q4_0", "q4_k"
std::string_view to_string(GgufForm form);  // "trit", "tq1_0", "tq2_0", "i2_s"

struct GgufOptions {
  std::string name;           // general.name
  std::string description;    // general.description, left out when empty
  std::string license;        // general.license, left out when empty
  std::string chat_template;  // tokenizer.chat_template, left out when empty
  GgufForm form = GgufForm::kTrit;
  FloatForm embeddings = FloatForm::kAsTheyAre;  // the embedding table and the head
  FloatForm linears = FloatForm::kAsTheyAre;     // linear weights of a full-precision model
};
// Writes one GGUF v3 file, which holds the model's levels and scales exactly in every form: where a form
// stores scales as fp16, they stand beside it in float32 (docs/formats.md). Throws Error when the form
// cannot hold the model.
void write_gguf_model(const Path& path, const Model& model, const Tokenizer* tokenizer,
                      const GgufOptions& options);

}  // namespace trit
