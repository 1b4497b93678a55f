// trit tokenizer train: a byte-level BPE vocabulary from text.

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/corpus_options.h"
#include "cli/options.h"
#include "text/train_bpe.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit tokenizer train book.txt --vocab-size 2048 --out tok
  trit tokenizer train a.jsonl.zst b.txt.gz --field response --where kind=story,poem --out tok
)";

struct Options {
  CorpusArguments corpus;
  TrainBpeOptions bpe;
  std::string out;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("out", out, "directory for tokenizer.json and tokenizer_config.json");
    v("vocab-size", bpe.vocab_size, "tokens in all: specials, 256 bytes, merges");
    v("min-frequency", bpe.min_frequency, "a pair must occur this often to be merged");
    v("special", bpe.special_tokens, "special tokens; the first ends a document");
    v("max-bytes", bpe.max_bytes, "text to read, at most");
  }
};

void run(const Options& options) {
  if (options.out.empty()) bad_input("--out: nothing given; it must be a directory to write to");
  const std::vector<CorpusSource> sources = corpus_sources(options.corpus);
  const DocumentSource documents = [&](const std::function<void(std::string_view)>& document) {
    for (const CorpusSource& source : sources)
      for_each_document(source.file, source.options, document);
  };
  std::unique_ptr<Progress> progress;
  std::string stage_now;
  const Tokenizer tokenizer =
      train_bpe(documents, options.bpe, [&](std::string_view stage, int64_t done, int64_t total) {
        if (stage != stage_now) {
          stage_now = stage;
          progress = std::make_unique<Progress>(stage, static_cast<uint64_t>(total));
        }
        progress->update(static_cast<uint64_t>(done));
      });
  progress.reset();
  std::filesystem::create_directories(options.out);
  tokenizer.save(options.out);
  fmt::print("{}: {} tokens\n", options.out, tokenizer.vocab_size());
}

}  // namespace

void add_tokenizer_command(CLI::App& program) {
  CLI::App* group = program.add_subcommand("tokenizer", "make tokenizers");
  group->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* command = group->add_subcommand("train", "learn a byte-level BPE vocabulary from text");
  command->footer(kExamples);
  add_corpus_arguments(*command, options->corpus);
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
