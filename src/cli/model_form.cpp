#include "cli/model_form.h"

#include <array>
#include <optional>

#include "base/error.h"

namespace trit {
namespace {

constexpr std::array kGgufForms = {GgufForm::kTrit, GgufForm::kTQ1_0, GgufForm::kTQ2_0,
                                   GgufForm::kI2_S};
constexpr std::array kFloatForms = {FloatForm::kAsTheyAre, FloatForm::kF32,  FloatForm::kF16,
                                    FloatForm::kBF16,      FloatForm::kQ8_0, FloatForm::kQ6_K,
                                    FloatForm::kQ4_0,      FloatForm::kQ4_K};

FloatForm float_form(std::string_view option, std::string_view name) {
  for (const FloatForm form : kFloatForms) {
    if (to_string(form) == name) return form;
  }
  bad_input("--{}: '{}' is no type; it must be keep, f32, f16, bf16, q8_0, q6_k, q4_0 or q4_k",
            option, printable(name));
}

GgufForm gguf_form(std::string_view name) {
  for (const GgufForm form : kGgufForms) {
    if (to_string(form) == name) return form;
  }
  bad_input(
      "--to: '{}' is no form; it must be trit, tq1_0, tq2_0, i2_s, hf-packed, hf-master or "
      "hf-1bitllm",
      printable(name));
}

std::optional<HfStored> hf_form(std::string_view name) {
  if (name == "hf-packed") return HfStored::kPacked;
  if (name == "hf-master") return HfStored::kMasters;
  if (name == "hf-1bitllm") return HfStored::k1bitLLM;
  return std::nullopt;
}

}  // namespace

std::string write_model(const Path& out, const Model& model, const Tokenizer* tokenizer,
                        const std::string& chat_template, const FormOptions& options) {
  std::string form = options.to;
  if (form.empty()) form = out.extension() == ".gguf" ? "trit" : "hf-packed";
  GgufOptions gguf;
  gguf.embeddings = float_form("embeddings", options.embeddings);
  gguf.linears = float_form("linears", options.linears);
  gguf.name = options.name;
  gguf.description = options.description;
  gguf.license = options.license;
  gguf.chat_template = chat_template;
  if (const std::optional<HfStored> stored = hf_form(form)) {
    AtomicDirectory directory(out);
    export_hf_model(directory.path(), model, tokenizer, *stored);
    if (!chat_template.empty()) write_text(directory.path() / "chat_template.jinja", chat_template);
    directory.commit();
  } else {
    gguf.form = gguf_form(form);
    write_gguf_model(out, model, tokenizer, gguf);
  }
  return form;
}

uint64_t written_bytes(const Path& out) {
  if (!std::filesystem::is_directory(out)) return std::filesystem::file_size(out);
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out)) bytes += entry.file_size();
  return bytes;
}

}  // namespace trit
