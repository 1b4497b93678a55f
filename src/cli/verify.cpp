// trit verify: does a model compute what the original computes?

#include "eval/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "hub/resolve.h"
#include "infer/place.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit verify model.gguf --against run/checkpoint
  trit verify model.gguf --against original/ --text "Once upon a time"
  trit verify original/ --against reference.safetensors --json
  trit verify model.gguf --against model.gguf --device cuda --tolerance 0.05
reference.safetensors holds NAME.input_ids and NAME.logits, made by any other implementation, and where wanted
NAME.hidden.0 to .L, NAME.hidden.final_norm and NAME.greedy_ids.
Exit code 0: within --tolerance; 1: further away. Where activations are rounded to int8, two right
implementations may round one of them apart; single positions then differ by up to some 1e-2.
Hidden states exist on the CPU alone: with --device cuda logits and greedy tokens are compared.
)";

struct Options {
  std::string model, against, text;
  int64_t tokens = 64;
  double tolerance = 1e-5;
  std::string device = "cpu";
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("device", device, "what runs the model (not the other): cpu, cuda or cuda:N");
    v("against", against, "model (GGUF file or directory), or .safetensors with stored results");
    v("text", text, "text to compare two models on; default: random tokens");
    v("tokens", tokens, "how many random tokens");
    v("tolerance", tolerance, "relative L2 distance of logits that passes");
    v("json", json, "print the report as JSON");
  }
};

std::vector<int32_t> tokens_to_compare(const Options& options, const Path& path,
                                       const Model& model) {
  if (!options.text.empty()) {
    const std::optional<Tokenizer> tokenizer = open_tokenizer(path);
    if (!tokenizer) bad_input("--text: {} has no tokenizer; leave it out", options.model);
    std::vector<int32_t> ids = tokenizer->encode(options.text);
    if (ids.empty()) bad_input("--text: it has no tokens");
    return ids;
  }
  if (options.tokens < 1 || options.tokens > model.config().context) {
    bad_input("--tokens: {} is out of range; it must be 1 to the model's context, {}",
              options.tokens, model.config().context);
  }
  Rng rng(1);
  std::vector<int32_t> ids(static_cast<size_t>(options.tokens));
  for (int32_t& id : ids)
    id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config().vocabulary)));
  return ids;
}

VerifyReport compare(const Options& options, const Path& path, const Model& model, Place& place) {
  const Path against = resolve_model(options.against);
  if (against.extension() == ".safetensors" && !std::filesystem::is_directory(against))
    return verify(model, Safetensors::open(against), against, place);
  return verify(model, Model::open_to_run(against), tokens_to_compare(options, path, model), place);
}

OrderedJson to_json(const VerifyReport& report, double tolerance, bool passed) {
  OrderedJson json = {{"passed", passed}, {"tolerance", tolerance}};
  for (const LogitsReport& p : report.prompts) {
    json["logits"].push_back({{"prompt", p.prompt},
                              {"positions", p.positions},
                              {"relative_l2", p.relative_l2},
                              {"max_difference", p.max_difference},
                              {"kl_divergence", p.mean_kl},
                              {"top1_agreement", p.top1_agreement},
                              {"relative_l2_by_position", p.by_position}});
  }
  for (const HiddenReport& h : report.hidden) {
    json["hidden"].push_back(
        {{"state", h.name}, {"relative_l2", h.relative_l2}, {"max_difference", h.max_difference}});
  }
  const std::optional<std::string> first = report.first_difference(tolerance);
  json["first_difference"] = first ? OrderedJson(*first) : OrderedJson(nullptr);
  if (report.greedy_tokens > 0) {
    json["greedy"] = {{"tokens", report.greedy_tokens}, {"agreed", report.greedy_agreed}};
  }
  return json;
}

void print(const VerifyReport& report, double tolerance, bool passed) {
  fmt::print("{:<12}{:>10}{:>10}{:>14}{:>14}{:>14}{:>8}\n", "logits", "positions", "within",
             "relative L2", "max diff", "KL, nats", "top-1");
  for (const LogitsReport& p : report.prompts) {
    const auto within =
        std::ranges::count_if(p.by_position, [&](double d) { return d <= tolerance; });
    fmt::print("{:<12}{:>10}{:>10}{:>14.2e}{:>14.2e}{:>14.2e}{:>7.1f}%\n", p.prompt, p.positions,
               within, p.relative_l2, p.max_difference, p.mean_kl, 100 * p.top1_agreement);
  }
  if (!report.hidden.empty())
    fmt::print("\n{:<22}{:>14}{:>14}\n", "hidden state", "relative L2", "max diff");
  for (const HiddenReport& h : report.hidden)
    fmt::print("{:<22}{:>14.2e}{:>14.2e}\n", h.name, h.relative_l2, h.max_difference);
  if (report.greedy_tokens > 0) {
    fmt::print("\ngreedy decoding: {} of {} tokens the same\n", report.greedy_agreed,
               report.greedy_tokens);
  }
  fmt::print("\n{}: logits {} {:.0e}; {}\n", passed ? "passed" : "FAILED",
             passed ? "within" : "further away than", tolerance,
             report.hidden.empty()
                 ? "hidden states were not compared"
                 : fmt::format("first hidden state that differs: {}",
                               report.first_difference(tolerance).value_or("none")));
}

void run(const Options& options) {
  if (options.against.empty())
    bad_input("--against: nothing given; it must be a model or stored results");
  if (!(options.tolerance >= 0))
    bad_input("--tolerance: {} is out of range; it must be 0 or more", options.tolerance);
  const Path path = resolve_model(options.model);
  Place place(options.device);
  const Model model = place.open(path);
  const VerifyReport report = compare(options, path, model, place);
  const bool passed = report.worst_relative_l2() <= options.tolerance &&
                      report.greedy_agreed == report.greedy_tokens;
  if (options.json) {
    fmt::print("{}\n", to_json(report, options.tolerance, passed).dump(2));
  } else {
    print(report, options.tolerance, passed);
  }
  if (!passed) throw CLI::RuntimeError(static_cast<int>(ExitCode::kFailure));
}

}  // namespace

void add_verify_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("verify", "compare a model's results with the original's");
  command->footer(kExamples);
  command->add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
