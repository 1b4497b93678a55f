#include "cli/corpus_options.h"

#include "base/error.h"

namespace trit {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

CorpusSource source_of(const std::string& argument, const CorpusOptions& options) {
  CorpusSource source{argument, options};
  const size_t colon = argument.rfind(':');
  if (colon != std::string::npos && !std::filesystem::exists(argument)) {
    source.file = argument.substr(0, colon);
    source.options = {argument.substr(colon + 1), {}};
  }
  return source;
}

}  // namespace

void add_corpus_arguments(CLI::App& command, CorpusArguments& arguments) {
  command
      .add_option("files", arguments.files,
                  ".txt or .jsonl, also .zst or .gz; in .txt a line <|endoftext|> ends a document; "
                  "FILE:MEMBER overrides --field for one file")
      ->required();
  command.add_option("--field", arguments.field, "member of a .jsonl row that holds the text")
      ->capture_default_str();
  command
      .add_option(
          "--where", arguments.where,
          "MEMBER=VALUE,VALUE: only .jsonl rows with one of these values (may be repeated); files "
          "with FILE:MEMBER are not filtered")
      ->allow_extra_args(false);
}

std::vector<CorpusSource> corpus_sources(const CorpusArguments& arguments) {
  CorpusOptions options;
  options.field = arguments.field;
  for (const std::string& filter : arguments.where) {
    const size_t equals = filter.find('=');
    if (equals == 0 || equals == std::string::npos) {
      bad_input("--where: '{}' is no filter; write MEMBER=VALUE,VALUE", printable(filter));
    }
    options.where[filter.substr(0, equals)] = split(filter.substr(equals + 1), ',');
  }
  std::vector<CorpusSource> sources;
  for (const std::string& file : arguments.files) sources.push_back(source_of(file, options));
  return sources;
}

}  // namespace trit
