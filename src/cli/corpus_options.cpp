#include "cli/corpus_options.h"

#include <cstdlib>

#include "base/error.h"

namespace trit {
namespace {

constexpr double kMostCopies = 100;

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
                  "FILE:MEMBER overrides --field for one file; a directory stands for those in it")
      ->required();
  command.add_option("--field", arguments.field, "member of a .jsonl row that holds the text")
      ->capture_default_str();
  command
      .add_option(
          "--where", arguments.where,
          "MEMBER=VALUE,VALUE: only .jsonl rows with one of these values (may be repeated); files "
          "with FILE:MEMBER are not filtered")
      ->allow_extra_args(false);
  command
      .add_option("--mix", arguments.mix,
                  "VALUE=WEIGHT: .jsonl rows whose member --mix-by has this value come so many "
                  "times, 0.5 for half of them (may be repeated; others come once)")
      ->allow_extra_args(false);
  command
      .add_option("--mix-by", arguments.mix_by,
                  "member that says which part of a mixture a row is of: a path, as "
                  "meta.red_pajama_subset, or source")
      ->capture_default_str();
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
  for (const std::string& part : arguments.mix) {
    const size_t equals = part.rfind('=');
    const std::string number = equals == std::string::npos ? "" : part.substr(equals + 1);
    char* end = nullptr;
    const double weight = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0' || !(weight >= 0 && weight <= kMostCopies))
      bad_input("--mix: '{}' is no part of a mixture; write VALUE=WEIGHT, a weight from 0 to {}",
                printable(part), kMostCopies);
    options.mix[part.substr(0, equals)] = weight;
  }
  options.mix_by = arguments.mix_by;
  std::vector<CorpusSource> sources;
  for (const std::string& file : arguments.files) {
    if (!std::filesystem::is_directory(file)) {
      sources.push_back(source_of(file, options));
      continue;
    }
    for (const Path& each : corpus_files(file)) sources.push_back({each, options});
  }
  return sources;
}

}  // namespace trit
