// trit perplexity: how well a model predicts held-out text.

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <numbers>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "data/shards.h"
#include "eval/perplexity.h"
#include "hub/resolve.h"
#include "infer/place.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit perplexity model.gguf --data data
  trit perplexity run/checkpoint --data data --split train --tokens 100000 --json
  trit perplexity model.gguf --data data --window 2048 --device cuda --kv-type f16
)";

struct Options {
  std::string model;
  std::string data;
  std::string split = "valid";
  int64_t tokens = 0;
  int64_t window = 256;
  std::string device = "cpu", kv_type = "f32";
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("data", data, "dataset directory (trit data build)");
    v("split", split, "valid (held out) or train");
    v("tokens", tokens, "tokens to predict, at most; 0: all");
    v("window", window, "tokens that are predicted from one context");
    v("device", device, "what runs the model: cpu, cuda or cuda:N");
    v("kv-type", kv_type, "how keys and values are kept: f32, f16, int8 or int4");
    v("json", json, "print the result as JSON");
  }
};

Split split_from(const std::string& name) {
  if (name == split_name(Split::kValid)) return Split::kValid;
  if (name == split_name(Split::kTrain)) return Split::kTrain;
  bad_input("--split: '{}' is no split; it must be valid or train", printable(name));
}

void run(const Options& options) {
  if (options.data.empty()) bad_input("--data: nothing given; it must be a dataset directory");
  if (options.window < 1)
    bad_input("--window: {} is out of range; it must be at least 1", options.window);
  if (options.tokens < 0)
    bad_input("--tokens: {} is out of range; it must be 0 or more", options.tokens);
  const Split split = split_from(options.split);
  const KvType kv_type = kv_type_from(options.kv_type);
  Place place(options.device);
  const Model model = place.open(resolve_model(options.model));
  const TokenDataset dataset = TokenDataset::open(options.data);
  if (dataset.vocab_size() > model.config().vocabulary) {
    bad_input("{}: its tokens go up to {}, the vocabulary of {} has {}", options.data,
              dataset.vocab_size() - 1, options.model, model.config().vocabulary);
  }
  const int64_t all = dataset.tokens(split);
  std::vector<int32_t> tokens(
      static_cast<size_t>(options.tokens == 0 ? all : std::min(all, options.tokens + 1)));
  dataset.read(split, 0, static_cast<int64_t>(tokens.size()), tokens.data());
  Progress progress("perplexity", tokens.size());
  const auto show = [&](int64_t done) { progress.update(static_cast<uint64_t>(done)); };
  const PerplexityReport report =
      place.is_cpu() && kv_type == KvType::kF32
          ? perplexity(model.weights(), tokens, options.window, show)
          : perplexity(place, model.weights(), kv_type, tokens, options.window, show);
  progress.finish();
  // Bytes of the predicted text: the split's, in proportion to its tokens.
  const double bytes_per_token =
      static_cast<double>(dataset.bytes(split)) / static_cast<double>(all);
  const double bits_per_byte = report.loss() / std::numbers::ln2 / bytes_per_token;
  const double speed = static_cast<double>(report.tokens) / report.seconds;
  if (options.json) {
    const OrderedJson json = {{"model", options.model},         {"tokens", report.tokens},
                              {"loss", report.loss()},          {"perplexity", report.perplexity()},
                              {"bits_per_byte", bits_per_byte}, {"window", options.window},
                              {"tokens_per_second", speed},     {"kv_type", options.kv_type},
                              {"runs_on", place.kernels()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print(
      "{}: perplexity {:.4f} over {} tokens (loss {:.4f} nats, {:.4f} bits per byte), {} tok/s\n",
      options.model, report.perplexity(), report.tokens, report.loss(), bits_per_byte,
      human_count(speed));
}

}  // namespace

void add_perplexity_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("perplexity", "measure how well a model predicts held-out text");
  command->footer(kExamples);
  command
      ->add_option("model", options->model,
                   "GGUF file, Hugging Face directory, or a model that was pulled: ORG/NAME")
      ->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
