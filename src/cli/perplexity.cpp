// trit perplexity: how well a model predicts text.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "data/byte_reader.h"
#include "data/shards.h"
#include "eval/python_text.h"
#include "eval/text_perplexity.h"
#include "hub/resolve.h"
#include "model/checkpoint.h"
#include "text/utf8.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit perplexity model.gguf --data data                               # a dataset's held-out split
  trit perplexity model.gguf --text wiki.test.raw.txt --stride 512     # every token behind at least context - 512 others
  trit perplexity model.gguf --text wiki.test.raw.txt --convention llama.cpp
  trit perplexity model.gguf --text c4.jsonl.zst --convention harness --json
  trit perplexity model.gguf --text c4.jsonl.zst --resume c4.partial   # the same command again goes on after a break
  trit perplexity model.gguf --data data --context 2048 --device cuda --kv-type f16

Conventions (--convention):
  strided    all tokens, each behind at least context - stride others (the default; --stride CONTEXT is the cheapest)
  llama.cpp  llama-perplexity's: windows of 512, of which the second half is scored
  harness    lm-evaluation-harness's rolling log-likelihood: windows side by side, the first token too
A .txt file is one text, byte for byte; a .jsonl file has a text a line, scored each by itself or, with --join, as one.
)";

struct Options {
  std::string model;
  std::string data, text, field = "text";
  bool join = false;
  std::string split = "valid";
  std::string convention = "strided", bos = "auto";
  int64_t tokens = 0, context = 0, stride = 0, window = 0;
  std::string device = "cpu", kv_type = "f32", resume;
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("data", data, "dataset directory (trit data build)");
    v("split", split, "with --data: valid (held out) or train");
    v("text", text, "instead: a .txt or .jsonl file, also as .zst or .gz");
    v("field", field, "the member of .jsonl rows that holds the text");
    v("join", join, "put the texts of a .jsonl file together, blank lines between them");
    v("convention", convention, "strided, llama.cpp or harness");
    v("context", context, "tokens seen at once; default: the model's context (llama.cpp: 512)");
    v("stride", stride, "from one window to the next; default: half the context");
    v("window", window, "short for --context N --stride N");
    v("bos", bos,
      "texts begin with the tokenizer's bos: yes, no, or auto: as the tokenizer has it");
    v("tokens", tokens, "tokens of the text to use, at most; 0: all");
    v("device", device, "what runs the model: cpu, cuda or cuda:N");
    v("kv-type", kv_type, "how keys and values are kept: f32, f16, int8 or int4");
    v("resume", resume, "file that notes what is done, and that a later run goes on from");
    v("json", json, "print the result as JSON");
  }
};

Split split_from(const std::string& name) {
  if (name == split_name(Split::kValid)) return Split::kValid;
  if (name == split_name(Split::kTrain)) return Split::kTrain;
  bad_input("--split: '{}' is no split; it must be valid or train", printable(name));
}

// The texts of a file and what they are made of.
std::vector<std::string> read_texts(const Options& options) {
  std::string name = options.text;
  for (const std::string_view packed : {".zst", ".gz"}) {
    if (name.ends_with(packed)) name.resize(name.size() - packed.size());
  }
  std::vector<std::string> texts;
  if (name.ends_with(".jsonl")) {
    for_each_document(options.text, {.field = options.field},
                      [&](std::string_view text) { texts.emplace_back(text); });
  } else {
    texts.push_back(read_all(options.text));
    check_utf8(texts[0], options.text);
    // As llama.cpp reads a file.
    if (options.convention == "llama.cpp" && texts[0].ends_with('\n')) texts[0].pop_back();
  }
  if (!options.join || texts.size() < 2) return texts;
  std::string joined;
  for (const std::string& text : texts)
    joined += fmt::format("{}{}", joined.empty() ? "" : "\n\n", text);
  return {std::move(joined)};
}

std::vector<TokenText> tokens_of_file(const Options& options, const Tokenizer& tokenizer) {
  std::vector<TokenText> texts;
  int64_t left = options.tokens == 0 ? std::numeric_limits<int64_t>::max() : options.tokens;
  for (const std::string& text : read_texts(options)) {
    if (left == 0) break;
    TokenText one;
    one.bytes = std::ssize(text);
    one.words = options.convention == "harness" ? count_pieces(text) : count_words(text);
    one.tokens = tokenizer.encode(text);
    const int64_t all = std::ssize(one.tokens), kept = std::min(all, left);
    if (kept < all) {  // in proportion
      one.tokens.resize(static_cast<size_t>(kept));
      one.bytes = one.bytes * kept / all;
      one.words = one.words * kept / all;
    }
    left -= kept;
    texts.push_back(std::move(one));
  }
  return texts;
}

// A dataset's split is one run of tokens, boundaries of documents included.
std::vector<TokenText> tokens_of_dataset(const Options& options, const Config& config) {
  const Split split = split_from(options.split);
  const TokenDataset dataset = TokenDataset::open(options.data);
  if (dataset.vocab_size() > config.vocabulary) {
    bad_input("{}: its tokens go up to {}, the vocabulary of {} has {}", options.data,
              dataset.vocab_size() - 1, options.model, config.vocabulary);
  }
  const int64_t all = dataset.tokens(split);
  const int64_t count = options.tokens == 0 ? all : std::min(all, options.tokens + 1);
  TokenText text;
  text.tokens.resize(static_cast<size_t>(count));
  dataset.read(split, 0, count, text.tokens.data());
  text.bytes = all == 0 ? 0 : dataset.bytes(split) * count / all;
  return {std::move(text)};
}

OrderedJson number(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

void print_json(const Options& options, const Place& place, const TextPerplexity& r) {
  const OrderedJson json = {{"model", options.model},
                            {"text", options.text.empty() ? options.data : options.text},
                            {"convention", options.convention},
                            {"context", r.context},
                            {"stride", r.stride},
                            {"tokens", r.tokens},
                            {"windows", r.windows},
                            {"documents", r.documents},
                            {"loss", r.loss()},
                            {"perplexity", r.perplexity()},
                            {"perplexity_95", {number(r.low()), number(r.high())}},
                            {"loss_stderr", number(r.standard_error)},
                            {"stderr_over", r.over_documents ? "documents" : "windows"},
                            {"loss_stderr_tokens", number(r.token_standard_error)},
                            {"word_perplexity", number(r.word_perplexity())},
                            {"byte_perplexity", r.byte_perplexity()},
                            {"bits_per_byte", r.bits_per_byte()},
                            {"seconds", r.seconds},
                            {"resumed_windows", r.resumed},
                            {"kv_type", options.kv_type},
                            {"runs_on", place.kernels()}};
  fmt::print("{}\n", json.dump(2));
}

void print_text(const Options& options, const TextPerplexity& r) {
  fmt::print("{}: perplexity {:.4f}", options.model, r.perplexity());
  if (std::isfinite(r.standard_error)) {
    fmt::print(", 95 % in {:.4f} to {:.4f} (over {} {})", r.low(), r.high(),
               r.over_documents ? r.documents : r.windows,
               r.over_documents ? "documents" : "windows");
  }
  fmt::print("\n{} tokens in {} windows of {}, {} apart: loss {:.4f} nats, {:.4f} bits per byte",
             r.tokens, r.windows, r.context, r.stride, r.loss(), r.bits_per_byte());
  if (std::isfinite(r.word_perplexity())) fmt::print(", {:.2f} per word", r.word_perplexity());
  if (options.convention == "llama.cpp")
    fmt::print("; +/- {:.4f} as llama.cpp has it", r.perplexity() * r.token_standard_error);
  fmt::print("\n{} tok/s\n", human_count(static_cast<double>(r.tokens) / r.seconds));
}

TextPerplexityOptions settings_from(const Options& options, bool adds_bos) {
  if (options.data.empty() == options.text.empty())
    bad_input("--data or --text: one of them must be given");
  if (options.window < 0 || (options.window > 0 && options.context + options.stride > 0)) {
    bad_input("--window: {}; it must be at least 1, and neither --context nor --stride beside it",
              options.window);
  }
  if (options.tokens < 0)
    bad_input("--tokens: {} is out of range; it must be 0 or more", options.tokens);
  if (options.bos != "auto" && options.bos != "yes" && options.bos != "no")
    bad_input("--bos: '{}' is none of auto, yes and no", printable(options.bos));
  TextPerplexityOptions settings;
  settings.convention = convention_from(options.convention);
  settings.context = options.window > 0 ? options.window : options.context;
  settings.stride = options.window > 0 ? options.window : options.stride;
  // A dataset has its boundaries already.
  settings.bos = options.bos == "auto" ? adds_bos && options.data.empty() : options.bos == "yes";
  settings.kv_type = kv_type_from(options.kv_type);
  settings.resume = options.resume;
  settings.model = options.model;
  return settings;
}

void run(const Options& options) {
  settings_from(options, false);  // before anything is read
  const Path path = resolve_model(options.model);
  Place place(options.device);
  const Model model = place.open(path);
  std::optional<Tokenizer> tokenizer = open_tokenizer(path);
  if (!tokenizer && !options.data.empty()) tokenizer = TokenDataset::open(options.data).tokenizer();
  if (!tokenizer) bad_input("{}: it has no tokenizer", options.model);
  TextPerplexityOptions settings = settings_from(options, tokenizer->add_bos());
  if (options.window > 0)
    settings.context = settings.stride = std::min(options.window, model.config().context);
  const std::vector<TokenText> texts = options.data.empty()
                                           ? tokens_of_file(options, *tokenizer)
                                           : tokens_of_dataset(options, model.config());
  std::unique_ptr<Progress> bar;
  settings.progress = [&](int64_t done, int64_t all) {
    if (!bar) bar = std::make_unique<Progress>("perplexity", static_cast<uint64_t>(all));
    bar->update(static_cast<uint64_t>(done));
  };
  const TextPerplexity result =
      text_perplexity(place, model.weights(), *tokenizer, texts, settings);
  bar.reset();
  if (options.json) return print_json(options, place, result);
  print_text(options, result);
}

}  // namespace

void add_perplexity_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("perplexity", "measure how well a model predicts text");
  command->footer(kExamples);
  command
      ->add_option("model", options->model,
                   "GGUF file, Hugging Face directory, or a model that was pulled: ORG/NAME")
      ->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
