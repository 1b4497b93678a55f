// trit run: text from a prompt.

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <iterator>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "cli/commands.h"
#include "cli/generate_options.h"
#include "cli/interrupt.h"
#include "hub/resolve.h"
#include "kernels/kernels.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit run model.gguf "Once upon a time"
  trit run microsoft/bitnet-b1.58-2B-4T "The sky is"
  trit run model.gguf "The king said" -n 100 --temperature 0
  trit run run/checkpoint --stop "The end" --seed 7 "A dragon"
  echo "Dear diary" | trit run model.gguf --json
)";

struct Options {
  std::string model;
  std::string prompt;
  GenerateOptions generate;
  int64_t context = 0;
  bool json = false;
  bool quiet = false;
  bool check = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    visit_options(generate, v);
    v("context", context, "positions of the cache; 0: prompt and -n, at most the model's");
    v("json", json, "print one JSON object: text, counts, speeds");
    v("check", check, "first compare the file's tensors with its checksum");
    v("quiet", quiet, "print the text alone, no figures");
  }
};

// Speeds against what the memory must deliver.
struct Figures {
  GenerateReport report;
  double bytes_per_token;  // weights and, at the middle of the generation, cached keys and values
  double prompt_speed() const { return rate(report.prompt_tokens, report.prompt_seconds); }
  double generate_speed() const { return rate(report.generated_tokens, report.generate_seconds); }
  double bandwidth() const { return generate_speed() * bytes_per_token; }

 private:
  static double rate(int64_t count, double seconds) {
    return static_cast<double>(count) / std::max(seconds, 1e-9);
  }
};

void print_figures(const Figures& f) {
  fmt::print(stderr,
             "\nprompt     {:>6} tokens  {:>8.1f} tok/s\n"
             "generated  {:>6} tokens  {:>8.1f} tok/s  {:.2f} GB/s ({} a token), stopped by {}\n"
             "memory     {} at most, {} on {} thread{}\n",
             f.report.prompt_tokens, f.prompt_speed(), f.report.generated_tokens,
             f.generate_speed(), f.bandwidth() / 1e9, human_bytes(f.bytes_per_token),
             to_string(f.report.reason), human_bytes(static_cast<double>(peak_memory())),
             kernels::to_string(kernels::active_isa()), thread_count(),
             thread_count() == 1 ? "" : "s");
}

void print_json(const Figures& f, const std::string& prompt, const std::string& text) {
  const OrderedJson json = {{"prompt", prompt},
                            {"text", text},
                            {"stop_reason", to_string(f.report.reason)},
                            {"prompt_tokens", f.report.prompt_tokens},
                            {"prompt_tokens_per_second", f.prompt_speed()},
                            {"generated_tokens", f.report.generated_tokens},
                            {"generated_tokens_per_second", f.generate_speed()},
                            {"bytes_per_token", f.bytes_per_token},
                            {"bytes_per_second", f.bandwidth()},
                            {"peak_memory_bytes", peak_memory()},
                            {"isa", kernels::to_string(kernels::active_isa())},
                            {"threads", thread_count()}};
  fmt::print("{}\n", json.dump(2));
}

std::string prompt_or_input(const Options& options) {
  if (!options.prompt.empty() || isatty(STDIN_FILENO) != 0) return options.prompt;
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

void run(const Options& options) {
  validate(options.generate);
  const Path path = resolve_model(options.model);
  if (options.check && !check_tensors(path))
    bad_input("--check: {} has no checksum", options.model);
  const Model model = Model::open_to_run(path);
  const Tokenizer tokenizer = tokenizer_of(model, path);
  const std::string prompt = prompt_or_input(options);
  std::vector<int32_t> tokens;
  if (tokenizer.bos_id() >= 0) tokens.push_back(tokenizer.bos_id());
  const std::vector<int32_t> words = tokenizer.encode(prompt);
  tokens.insert(tokens.end(), words.begin(), words.end());
  if (tokens.empty())
    bad_input("prompt: it is empty, and the model has no token to begin a text with");

  const int64_t wanted = static_cast<int64_t>(tokens.size()) + options.generate.max_tokens;
  Session session(model.weights(), options.context > 0 ? options.context : wanted);
  catch_interrupts();
  std::string text;
  if (!options.json) fmt::print("{}", prompt);
  const auto show = [&](std::string_view piece) {
    text += piece;
    if (!options.json) {
      fmt::print("{}", piece);
      std::fflush(stdout);
    }
    return !interrupted();
  };
  const int64_t prompt_tokens = static_cast<int64_t>(tokens.size());
  const GenerateReport report =
      generate(session, tokenizer, std::move(tokens), options.generate, show);
  const double middle =
      static_cast<double>(prompt_tokens) + static_cast<double>(report.generated_tokens) / 2;
  const Figures figures{report,
                        static_cast<double>(model.bytes_per_token()) +
                            middle * static_cast<double>(session.cache_bytes_per_position())};
  if (options.json) return print_json(figures, prompt, text);
  fmt::print("\n");
  std::fflush(stdout);
  if (!options.quiet) print_figures(figures);
}

}  // namespace

void add_run_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("run", "generate text from a prompt");
  command->footer(kExamples);
  command
      ->add_option("model", options->model,
                   "GGUF file, Hugging Face directory, or a model that was pulled: ORG/NAME")
      ->required();
  command->add_option("prompt", options->prompt,
                      "text to go on from; default: standard input, or nothing");
  add_max_tokens(*command, options->generate);
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
