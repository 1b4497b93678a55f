#pragma once
// The metadata of a GGUF model: trit's own architecture, and those of llama.cpp and Microsoft.

#include <string>

#include "formats/gguf.h"
#include "model/model.h"

namespace trit {

// What a GGUF file holds.
struct GgufModel {
  Config config;
  std::string family;   // for people
  bool own = false;     // architecture "trit": the canonical packing with scales beside it
  bool bitnet = false;  // "bitnet...": layers are BitLinears whatever type holds their weights
  bool permuted_qk =
      false;  // "llama": the rows of q and k are in the order of interleaved rotary pairs
};

// Throws Error naming the file, the key, its value and what would be right; refuses whatever trit would
// not run as the original does. For foreign files the kind of weights is told from the tensors.
GgufModel read_gguf_model(const Gguf& file);

// The architectures that tools besides trit read. Throws Error when none has the form of `config`.
std::string_view foreign_architecture(const Config& config);

// Keys of architecture "trit", or of a foreign one with trit's exact form beside it in trit.* keys.
void write_own_config(GgufWriter& writer, const Config& config);
void write_foreign_config(GgufWriter& writer, const Config& config, uint32_t file_type);

// Float32 scales of the packed matrices, in the order of the tensor table, beside blocks that hold them as
// fp16 (trit's key in foreign files).
inline constexpr const char* kGgufExactScales = "trit.scales";

// blk.N.attn_q.weight -> blk.N.attn_q.scale
std::string gguf_scale_name(const TensorRow& row);

}  // namespace trit
