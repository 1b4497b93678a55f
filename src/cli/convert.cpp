// trit convert: a checkpoint into the file that runs.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "model/checkpoint.h"
#include "text/chat_template_file.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit convert run/checkpoint model.gguf
  trit convert run/checkpoint model.gguf --embeddings f16 --name "My model" --license MIT
)";

struct Options {
  std::string checkpoint;
  std::string out;
  GgufOptions gguf;
  std::string embeddings = "f32";
  std::string linears = "f16";
  template <class Visitor>
  void visit(Visitor&& v) {
    v("embeddings", embeddings, "type of embedding table and head: f32 (exact), f16 or bf16");
    v("linears", linears,
      "type of a full-precision model's linear weights: f32 (exact), f16 or bf16");
    v("name", gguf.name, "the model's name");
    v("description", gguf.description, "what it is");
    v("license", gguf.license, "its licence");
  }
};

DType float_type(std::string_view option, std::string_view name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  bad_input("--{}: '{}' is no type; it must be f32, f16 or bf16", option, printable(name));
}

void run(Options options) {
  options.gguf.embeddings = float_type("embeddings", options.embeddings);
  options.gguf.linears = float_type("linears", options.linears);
  const Model model = Model::open(options.checkpoint);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(options.checkpoint);
  if (const auto found = find_chat_template(options.checkpoint))
    options.gguf.chat_template = found->chat_template.source();
  write_gguf_model(options.out, model, tokenizer ? &*tokenizer : nullptr, options.gguf);
  const auto bytes = static_cast<double>(std::filesystem::file_size(options.out));
  const QuantisationStats stats = model.levels();
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
  CLI::App* command = program.add_subcommand("convert", "pack a checkpoint into one GGUF file");
  command->footer(kExamples);
  command->add_option("checkpoint", options->checkpoint, "Hugging Face directory (or GGUF file)")
      ->required();
  command->add_option("out", options->out, "GGUF file to write")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
