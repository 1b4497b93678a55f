// trit data build: text into token shards.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/corpus_options.h"
#include "cli/options.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit data build book.txt --tokenizer tok --out data
  trit data build a.jsonl.zst b.jsonl.zst:story --field response --where kind=story --tokenizer tok --out data
)";

struct Options {
  CorpusArguments corpus;
  DatasetOptions dataset;
  std::string tokenizer;
  std::string out;
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("tokenizer", tokenizer, "directory with tokenizer.json");
    v("out", out, "directory to write; an older dataset there is replaced");
    v("valid-fraction", dataset.valid_fraction, "share of the documents that is held out");
    v("tokens-per-shard", dataset.tokens_per_shard, "tokens of one file, at most");
    v("json", json, "print the counts as JSON");
  }
};

void run(const Options& options) {
  if (options.tokenizer.empty())
    bad_input("--tokenizer: nothing given; it must be a directory with tokenizer.json");
  if (options.out.empty()) bad_input("--out: nothing given; it must be a directory to write to");
  const std::vector<CorpusSource> sources = corpus_sources(options.corpus);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  Progress progress("tokenising", 0);
  const DatasetSummary summary =
      build_dataset(sources, tokenizer, options.out, options.dataset,
                    [&](int64_t bytes) { progress.update(static_cast<uint64_t>(bytes)); });
  progress.finish();
  OrderedJson json = {{"vocab_size", summary.vocab_size}};
  for (const Split split : {Split::kTrain, Split::kValid}) {
    const SplitSummary& s = summary[split];
    json[split_name(split)] = {
        {"documents", s.documents}, {"tokens", s.tokens}, {"bytes", s.bytes}};
    if (options.json) continue;
    fmt::print("{}  {:>9} documents  {:>11} tokens  {:>12} bytes  {:.2f} bytes per token\n",
               split_name(split), s.documents, s.tokens, s.bytes,
               static_cast<double>(s.bytes) / static_cast<double>(std::max<int64_t>(1, s.tokens)));
  }
  if (options.json) fmt::print("{}\n", json.dump(2));
}

}  // namespace

void add_data_command(CLI::App& program) {
  CLI::App* group = program.add_subcommand("data", "make training data");
  group->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* command =
      group->add_subcommand("build", "tokenise text into a dataset with a held-out split");
  command->footer(kExamples);
  add_corpus_arguments(*command, options->corpus);
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
