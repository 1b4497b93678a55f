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
#include "cli/engine_options.h"
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
  trit run model.gguf --samples 4 "Once upon a time"
  trit run model.gguf --device cuda "Once upon a time"
  trit run run/checkpoint --stop "The end" --seed 7 "A dragon"
  echo "Dear diary" | trit run model.gguf --json
  mpirun -n 4 trit run model.gguf --pipeline 2 "Far away"
)";

struct Options {
  std::string model;
  std::string prompt;
  GenerateOptions generate;
  EngineFlags engine;
  std::string file;
  int64_t samples = 1;
  bool json = false;
  bool quiet = false;
  bool check = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    visit_options(generate, v);
    v("file,-f", file, "file with the prompt");
    v("samples", samples, "so many texts at once, with seeds from --seed on");
    visit_options(engine, "tokens of the text, at most; 0: prompt and -n, at most the model's", v);
    v("json", json, "print one JSON object: text, counts, speeds");
    v("check", check, "first compare the file's tensors with its checksum");
    v("quiet", quiet, "print the text alone, no figures");
  }
};

// Speeds against what the memory must deliver.
struct Figures {
  GenerateReport report;   // of all texts together
  double bytes_per_token;  // weights and, at the middle of the generation, cached keys and values
  std::string_view kv_type;
  const Place& place;
  std::optional<double> bandwidth() const {
    const auto speed = report.generate_speed();
    return speed ? std::optional(*speed * bytes_per_token) : std::nullopt;
  }
};

std::string memory_words(const Place& place) {
  const std::string here = human_bytes(static_cast<double>(peak_memory())) + " at most";
  if (place.is_cpu()) return here;
  return fmt::format("{} in use on the device, {} here",
                     human_bytes(static_cast<double>(place.used_memory())), here);
}

std::string runs_on(const Place& place) {
  if (!place.is_cpu()) return place.kernels();
  return fmt::format("{} on {} thread{}", place.kernels(), thread_count(),
                     thread_count() == 1 ? "" : "s");
}

std::string number(std::optional<double> value, int digits, double unit = 1) {
  return value ? fmt::format("{:.{}f}", *value / unit, digits) : "-";
}
OrderedJson or_null(std::optional<double> value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

void print_figures(const Figures& f) {
  fmt::print(stderr,
             "\nprompt     {:>6} tokens  {:>8} tok/s\n"
             "generated  {:>6} tokens  {:>8} tok/s  {} GB/s ({} a token), stopped by {}\n"
             "memory     {}, {} cache, {}\n",
             f.report.prompt_tokens, number(f.report.prompt_speed(), 1), f.report.generated_tokens,
             number(f.report.generate_speed(), 1), number(f.bandwidth(), 2, 1e9),
             human_bytes(f.bytes_per_token), to_string(f.report.reason), memory_words(f.place),
             f.kv_type, runs_on(f.place));
}

void print_json(const Figures& f, const std::string& prompt,
                const std::vector<std::string>& texts) {
  OrderedJson json = {{"prompt", prompt}};
  if (texts.size() == 1) {
    json["text"] = texts[0];
  } else {
    json["texts"] = texts;
  }
  json.update({{"stop_reason", to_string(f.report.reason)},
               {"prompt_tokens", f.report.prompt_tokens},
               {"prompt_tokens_per_second", or_null(f.report.prompt_speed())},
               {"generated_tokens", f.report.generated_tokens},
               {"generated_tokens_per_second", or_null(f.report.generate_speed())},
               {"bytes_per_token", f.bytes_per_token},
               {"bytes_per_second", or_null(f.bandwidth())},
               {"peak_memory_bytes", peak_memory()},
               {"kv_type", f.kv_type},
               {"isa", kernels::to_string(kernels::active_isa())},
               {"threads", thread_count()}});
  if (!f.place.is_cpu()) {
    json.update({{"device", f.place.kernels()}, {"device_memory_bytes", f.place.used_memory()}});
  }
  fmt::print("{}\n", json.dump(2));
}

// All texts as one: their tokens were generated side by side.
GenerateReport together(std::span<const GenerateReport> reports) {
  GenerateReport all = reports[0];
  for (const GenerateReport& one : reports.subspan(1)) {
    all.prompt_tokens += one.prompt_tokens;
    all.prompt_seconds = std::max(all.prompt_seconds, one.prompt_seconds);
    all.generated_tokens += one.generated_tokens;
    all.later_tokens += one.later_tokens;
    all.generate_seconds = std::max(all.generate_seconds, one.generate_seconds);
  }
  return all;
}

// A step reads the weights once, and for every text what its cache holds.
double bytes_per_token(const Model& model, KvType kv_type, int64_t prompt_tokens,
                       std::span<const GenerateReport> reports) {
  const auto per_position = static_cast<double>(kv_bytes_per_position(model.config(), kv_type));
  double steps = 0, tokens = 0, positions = 0;
  for (const GenerateReport& one : reports) {
    const auto count = static_cast<double>(one.generated_tokens);
    steps = std::max(steps, count);
    tokens += count;
    positions += count * (static_cast<double>(prompt_tokens) + count / 2);
  }
  if (tokens == 0) return static_cast<double>(model.bytes_per_token());
  return (steps * static_cast<double>(model.bytes_per_token()) + positions * per_position) / tokens;
}

std::string prompt_of(const Options& options) {
  if (!options.file.empty() && !options.prompt.empty())
    bad_input("--file: there is a prompt already: '{}'", printable(options.prompt));
  std::string text = options.prompt;
  if (!options.file.empty()) {
    text = read_text(options.file);
  } else if (text.empty() && isatty(STDIN_FILENO) == 0) {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    return text;
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

void validate(const Options& options) {
  validate(options.generate);
  validate(options.engine);
  if (options.samples < 1 || options.samples > 1024)
    bad_input("--samples: {} is out of range; it must be between 1 and 1024", options.samples);
}

// Writes one text as it comes; of several each when all are there.
class Printer {
 public:
  Printer(const Options& options, const std::string& prompt)
      : prompt_(prompt),
        texts_(static_cast<size_t>(options.samples)),
        live_(!options.json && options.samples == 1) {
    if (live_) fmt::print("{}", prompt);
  }
  bool show(int64_t i, std::string_view piece) {
    texts_[static_cast<size_t>(i)] += piece;
    if (live_ && !piece.empty()) {
      fmt::print("{}", piece);
      std::fflush(stdout);
    }
    return !interrupted();
  }
  const std::vector<std::string>& texts() const { return texts_; }
  void finish() const {
    if (!live_)
      for (size_t i = 0; i < texts_.size(); ++i)
        fmt::print("{}{}{}", i == 0 ? "" : "\n---\n", prompt_, texts_[i]);
    fmt::print("\n");
    std::fflush(stdout);
  }

 private:
  const std::string& prompt_;
  std::vector<std::string> texts_;
  bool live_;
};

void run(const Options& options) {
  validate(options);
  const Path path = resolve_model(options.model);
  if (options.check && !check_tensors(path))
    bad_input("--check: {} has no checksum", options.model);
  const Ranks ranks = ranks_of(options.engine);
  Place place(options.engine.device, ranks);
  TokenizerBeside beside(path);
  const Model model = place.open(path);
  if (!leads(ranks)) return follow_rank_0(model.weights(), options.engine, ranks, place);
  const Tokenizer tokenizer = beside.of(model);
  const std::string prompt = prompt_of(options);
  std::vector<int32_t> tokens;
  if (tokenizer.bos_id() >= 0) tokens.push_back(tokenizer.bos_id());
  const std::vector<int32_t> words = tokenizer.encode(prompt);
  tokens.insert(tokens.end(), words.begin(), words.end());
  if (tokens.empty())
    bad_input("prompt: it is empty, and the model has no token to begin a text with");

  const int64_t wanted = std::ssize(tokens) + options.generate.max_tokens;
  const int64_t context = std::min(options.engine.context > 0 ? options.engine.context : wanted,
                                   model.config().context);
  LocalEngine local(model.weights(), options.engine, ranks, place, context, options.samples);
  catch_interrupts();
  Printer printer(options, prompt);
  const std::vector<GenerateReport> reports =
      generate_samples(local.engine(), tokenizer, tokens, options.generate, options.samples,
                       [&](int64_t i, std::string_view piece) { return printer.show(i, piece); });
  const KvType kv_type = kv_type_from(options.engine.kv_type);
  const Figures figures{together(reports),
                        bytes_per_token(model, kv_type, std::ssize(tokens), reports),
                        options.engine.kv_type, place};
  if (options.json) return print_json(figures, prompt, printer.texts());
  printer.finish();
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
