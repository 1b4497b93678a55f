// trit convert: a model from one form into another.

#include <fmt/format.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/timer.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit convert run/checkpoint model.gguf
  trit convert run/checkpoint model.gguf --embeddings f16 --name "My model" --license MIT
  trit convert path/to/bitnet-b1.58-2B-4T model.gguf --to i2_s --embeddings q6_k
  trit convert model.gguf directory --to hf-packed
Forms (--to):
  trit       GGUF that trit maps and runs without a copy (the default for .gguf)
  tq1_0      GGUF for llama.cpp, 1.69 bits a weight
  tq2_0      GGUF for llama.cpp, 2.06 bits a weight
  i2_s       GGUF for bitnet.cpp, 2 bits a weight
  hf-packed  Hugging Face directory, four trits a byte (the default without .gguf)
  hf-master  Hugging Face directory, bfloat16 weights that quantise to the same trits
No form loses a trit or a bit of a scale.
)";

constexpr std::array kGgufForms = {GgufForm::kTrit, GgufForm::kTQ1_0, GgufForm::kTQ2_0,
                                   GgufForm::kI2_S};
constexpr std::array kFloatForms = {FloatForm::kAsTheyAre, FloatForm::kF32,  FloatForm::kF16,
                                    FloatForm::kBF16,      FloatForm::kQ8_0, FloatForm::kQ6_K};

struct Options {
  std::string checkpoint, out, to;
  GgufOptions gguf;
  std::string embeddings = "keep", linears = "keep";
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("to", to, "form to write; default: by the name of OUT");
    v("embeddings", embeddings,
      "embedding table and head in GGUF: keep, f32, f16, bf16, q8_0 or q6_k");
    v("linears", linears,
      "linear weights of a full-precision model in GGUF: keep, f32, f16, bf16, q8_0 or q6_k");
    v("name", gguf.name, "the model's name");
    v("description", gguf.description, "what it is");
    v("license", gguf.license, "its licence");
    v("json", json, "print what was written as JSON");
  }
};

FloatForm float_form(std::string_view option, std::string_view name) {
  for (const FloatForm form : kFloatForms) {
    if (to_string(form) == name) return form;
  }
  bad_input("--{}: '{}' is no type; it must be keep, f32, f16, bf16, q8_0 or q6_k", option,
            printable(name));
}

// Where the bytes went.
uint64_t written_bytes(const Path& out) {
  if (!std::filesystem::is_directory(out)) return std::filesystem::file_size(out);
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out)) bytes += entry.file_size();
  return bytes;
}

void write_directory(const Options& options, const Model& model, const Tokenizer* tokenizer,
                     HfStored stored) {
  AtomicDirectory directory(options.out);
  export_hf_model(directory.path(), model, tokenizer, stored);
  directory.commit();
}

void write(const Options& options, const std::string& form, const Model& model,
           const Tokenizer* tokenizer) {
  if (form == "hf-packed") return write_directory(options, model, tokenizer, HfStored::kPacked);
  if (form == "hf-master") return write_directory(options, model, tokenizer, HfStored::kMasters);
  GgufOptions gguf = options.gguf;
  for (const GgufForm row : kGgufForms) {
    if (to_string(row) != form) continue;
    gguf.form = row;
    return write_gguf_model(options.out, model, tokenizer, gguf);
  }
  bad_input("--to: '{}' is no form; it must be trit, tq1_0, tq2_0, i2_s, hf-packed or hf-master",
            printable(form));
}

void run(Options options) {
  const Timer timer;
  options.gguf.embeddings = float_form("embeddings", options.embeddings);
  options.gguf.linears = float_form("linears", options.linears);
  std::string form = options.to;
  if (form.empty()) form = Path(options.out).extension() == ".gguf" ? "trit" : "hf-packed";
  const Model model = Model::open(options.checkpoint);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(options.checkpoint);
  write(options, form, model, tokenizer ? &*tokenizer : nullptr);
  const auto bytes = static_cast<double>(written_bytes(options.out));
  const QuantisationStats stats = model.levels();
  if (options.json) {
    const OrderedJson json = {{"out", options.out},
                              {"form", form},
                              {"from", model.origin()},
                              {"bytes", bytes},
                              {"parameters", model.config().parameters()},
                              {"packed_weights", stats.weights},
                              {"zeros", stats.zeros},
                              {"seconds", timer.seconds()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} parameters in {}", options.out,
             human_count(static_cast<double>(model.config().parameters())), human_bytes(bytes));
  if (stats.weights > 0) {
    fmt::print(", {} of them {} with {:.1f} % zeros",
               human_count(static_cast<double>(stats.weights)), to_string(model.config().weights),
               100.0 * static_cast<double>(stats.zeros) / static_cast<double>(stats.weights));
  }
  fmt::print("{}\n", tokenizer ? "" : "; no tokenizer beside the checkpoint, so it runs no text");
}

}  // namespace

void add_convert_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("convert", "write a model in another form, such as one GGUF file");
  command->footer(kExamples);
  command->add_option("checkpoint", options->checkpoint, "Hugging Face directory or GGUF file")
      ->required();
  command->add_option("out", options->out, "GGUF file or directory to write")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
