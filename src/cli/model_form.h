#pragma once
// The forms in which `trit convert` and `trit synth` write models.

#include <cstdint>
#include <string>

#include "model/checkpoint.h"

namespace trit {

struct FormOptions {
  std::string to;
  std::string embeddings = "keep", linears = "keep";
  std::string name, description, license;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("to", to,
      "form: trit, tq1_0, tq2_0 or i2_s (GGUF), hf-packed, hf-master or hf-1bitllm (directory); "
      "default: trit "
      "for OUT.gguf, else hf-packed");
    v("embeddings", embeddings,
      "embedding table and head in GGUF: keep, f32, f16, bf16, q8_0, q6_k, q4_0 or q4_k");
    v("linears", linears,
      "linear weights of a full-precision model in GGUF: keep, f32, f16, bf16, q8_0, q6_k, q4_0 or "
      "q4_k");
    v("name", name, "the model's name (GGUF)");
    v("description", description, "what it is (GGUF)");
    v("license", license, "its licence (GGUF)");
  }
};

// Writes the model to `out`, with its tokenizer (or null) and its chat template (or none, ""), and returns the name of the form. Throws Error naming the option that is wrong.
std::string write_model(const Path& out, const Model& model, const Tokenizer* tokenizer,
                        const std::string& chat_template, const FormOptions& options);

// Bytes of the file, or of the files of the directory, at `out`.
uint64_t written_bytes(const Path& out);

}  // namespace trit
