// trit synth: a checkpoint of a published shape with random weights.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/model_form.h"
#include "cli/options.h"
#include "model/synthetic.h"

namespace trit {
namespace {

std::string examples() {
  std::string text = R"(
Examples:
  trit synth --like microsoft/bitnet-b1.58-2B-4T 2b4t-packed
  trit synth --like microsoft/bitnet-b1.58-2B-4T 2b4t.gguf --to i2_s
  trit synth --preset 700M 700m.gguf --family bitnet-paper
Published shapes (--like):
)";
  for (const PublishedModel& model : published_models())
    text += fmt::format("  {:<40}{}\n", model.name, model.about);
  return text;
}

struct Options {
  std::string like, preset, out;
  std::string family = "bitnet";
  FormOptions form;
  uint64_t seed = 1;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("like", like, "published model whose shape and form to take");
    v("preset", preset, "instead: a shape that trit trains, such as 700M");
    v("family", family, "with --preset: bitnet, bitnet-paper, bitnet-2b4t, binary or llama");
    v("seed", seed, "the same seed gives the same file");
    form.visit(v);
  }
};

void run(const Options& options) {
  if (options.like.empty() == options.preset.empty())
    bad_input("--like or --preset: one of them must be given");
  Config config;
  DType type = DType::kBF16;
  if (options.like.empty()) {
    config = as_family(preset(options.preset), family_from(options.family));
  } else {
    const PublishedModel& published = published_model(options.like);
    config = published.config;
    type = published.type;
  }
  const Model model = synthetic_model(config, type, options.seed);
  const std::string form = write_model(options.out, model, nullptr, "", options.form);
  fmt::print("{}: {}, {} parameters in {}\n", options.out, form,
             human_count(static_cast<double>(config.parameters())),
             human_bytes(static_cast<double>(written_bytes(options.out))));
}

}  // namespace

void add_synth_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "synth", "write a checkpoint of a published shape with random weights");
  command->footer(examples());
  command->add_option("out", options->out, "GGUF file or directory to write")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
