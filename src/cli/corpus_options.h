#pragma once
// The text files that a command reads, and how.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "data/shards.h"

namespace trit {

struct CorpusArguments {
  std::vector<std::string> files;
  std::string field = "text";
  std::vector<std::string> where, mix;
  std::string mix_by = "meta.red_pajama_subset";
};

void add_corpus_arguments(CLI::App& command, CorpusArguments& arguments);
// One source per file. A file may say its own member: FILE:MEMBER. Throws Error for a bad --where.
std::vector<CorpusSource> corpus_sources(const CorpusArguments& arguments);

}  // namespace trit
