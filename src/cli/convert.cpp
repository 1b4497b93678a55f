// trit convert: a model from one form into another.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/timer.h"
#include "cli/commands.h"
#include "cli/model_form.h"
#include "cli/options.h"
#include "hub/resolve.h"
#include "model/checkpoint.h"
#include "model/rounding.h"
#include "text/chat_template_file.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit convert run/checkpoint model.gguf
  trit convert run/checkpoint model.gguf --embeddings f16 --name "My model" --license MIT
  trit convert path/to/bitnet-b1.58-2B-4T model.gguf --to i2_s --embeddings q6_k
  trit convert model.gguf directory --to hf-packed
Forms (--to):
  trit       GGUF that trit maps (the default for .gguf)
  tq1_0      GGUF for llama.cpp, 1.69 bits a weight
  tq2_0      GGUF for llama.cpp, 2.06 bits a weight
  i2_s       GGUF for bitnet.cpp, 2 bits a weight
  hf-packed  Hugging Face directory, four trits a byte (the default without .gguf)
  hf-master  Hugging Face directory, bfloat16 weights that quantise to the same trits
  hf-1bitllm the same under the names of 1bitLLM's reproductions
No form loses a trit or a bit of a scale.
)";

struct Options {
  std::string checkpoint, out;
  FormOptions form;
  std::string round;
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    form.visit(v);
    v("round", round,
      "ternary or binary: round the linear weights of a full-precision model, to see what that "
      "costs");
    v("json", json, "print what was written as JSON");
  }
};

Model opened(const Path& checkpoint, const std::string& round) {
  if (round.empty()) return Model::open(checkpoint);
  for (const WeightKind kind : {WeightKind::kTernary, WeightKind::kBinary}) {
    if (round == to_string(kind)) return rounded_model(Model::open(checkpoint), kind);
  }
  bad_input("--round: '{}' is neither ternary nor binary", printable(round));
}

void run(const Options& options) {
  const Timer timer;
  const Path checkpoint = resolve_model(options.checkpoint);
  const Model model = opened(checkpoint, options.round);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(checkpoint);
  const std::optional<FoundChatTemplate> chat = find_chat_template(checkpoint);
  const std::string form = write_model(options.out, model, tokenizer ? &*tokenizer : nullptr,
                                       chat ? chat->chat_template.source() : "", options.form);
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
  command
      ->add_option("checkpoint", options->checkpoint,
                   "Hugging Face directory, GGUF file, or a model that was pulled: ORG/NAME")
      ->required();
  command->add_option("out", options->out, "GGUF file or directory to write")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
