#pragma once
// Token datasets: corpora tokenised once, then mapped into memory by every run.
//
// DIR/dataset.json        format, vocabulary size, counts per split, shards, sources
// DIR/tokenizer.json, tokenizer_config.json
// DIR/train-00000.bin ... DIR/valid-00000.bin ...
//
// A shard is a 64-byte header (bytes 0-7 "TRITTOK1", 8-11 version 1, 12-15 bytes per token 2 or 4,
// 16-23 count, the rest zero) and the tokens; everything little-endian. Do not change.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/file.h"
#include "data/corpus.h"
#include "text/tokenizer.h"

namespace trit {

enum class Split { kTrain, kValid };
inline constexpr size_t kSplitCount = 2;
const char* split_name(Split split);  // "train", "valid"

struct CorpusSource {
  Path file;
  CorpusOptions options;
};

struct DatasetOptions {
  double valid_fraction = 0.01;                 // share of the documents held out, 0 <= x < 1
  int64_t tokens_per_shard = int64_t{1} << 28;  // at most so many tokens in one file
};

struct SplitSummary {
  int64_t documents = 0;
  int64_t tokens = 0;  // with boundaries
  int64_t bytes = 0;   // UTF-8 bytes of the documents' text
};

struct DatasetSummary {
  std::array<SplitSummary, kSplitCount> splits;  // by Split
  int32_t vocab_size = 0;
  int token_bytes = 0;
  const SplitSummary& operator[](Split split) const { return splits[static_cast<size_t>(split)]; }
  SplitSummary& operator[](Split split) { return splits[static_cast<size_t>(split)]; }
};

// Writes the dataset of all documents of all sources, in order, and returns its counts. A document
// becomes its tokens and eos (with bos before them where the tokenizer asks for one that is not eos).
// Which split a document falls into depends on its text alone, so equal documents stay together and
// the split is stable when sources are added. The files do not depend on the number of threads.
// progress(bytes of text so far) is called now and then.
// Throws Error when there is no document (for training), on a tokenizer without eos, on options out
// of range, and when `directory` exists and is not a dataset; then nothing is left behind.
DatasetSummary build_dataset(const std::vector<CorpusSource>& sources, const Tokenizer& tokenizer,
                             const Path& directory, const DatasetOptions& options = {},
                             const std::function<void(int64_t)>& progress = {});

struct TokenShard {
  MappedFile file;
  int64_t count = 0;  // tokens
  int64_t first = 0;  // position of its first token in the split
};

// A dataset opened for reading. Movable; thread-safe.
class TokenDataset {
 public:
  // Throws Error naming the file and the field when dataset.json is wrong, a shard is missing, or a
  // shard's header or size disagrees. The tokens themselves are checked when they are read.
  static TokenDataset open(const Path& directory);

  const Path& directory() const { return directory_; }
  Tokenizer tokenizer() const { return Tokenizer::load(directory_); }
  int32_t vocab_size() const { return summary_.vocab_size; }
  int64_t tokens(Split split) const { return summary_[split].tokens; }
  int64_t bytes(Split split) const { return summary_[split].bytes; }
  const DatasetSummary& summary() const { return summary_; }
  const std::vector<TokenShard>& shards(Split split) const {
    return shards_[static_cast<size_t>(split)];
  }
  // Copies tokens [begin, begin + count) of the split, which must lie inside it. Throws Error naming
  // the shard when an id is not below vocab_size.
  void read(Split split, int64_t begin, int64_t count, int32_t* ids) const;

 private:
  Path directory_;
  DatasetSummary summary_;
  std::array<std::vector<TokenShard>, kSplitCount> shards_;
};

}  // namespace trit
