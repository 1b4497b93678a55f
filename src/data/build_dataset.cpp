#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "data/shard_format.h"
#include "data/shards.h"

namespace trit {
namespace {

constexpr size_t kBatchBytes = size_t{8} << 20;  // text that is encoded in one parallel loop

// A hash of the text that is the same on every machine, as a number in [0, 1).
double document_position(std::string_view text) {
  uint64_t hash = splitmix64(text.size());
  for (size_t i = 0; i < text.size(); i += 8) {
    uint64_t chunk = 0;
    std::memcpy(&chunk, text.data() + i, std::min<size_t>(8, text.size() - i));
    hash = splitmix64(hash ^ chunk);
  }
  return static_cast<double>(hash >> 11) * 0x1.0p-53;
}

// One shard while it is written: the header's count is known at the end.
class ShardFile {
 public:
  ShardFile(const Path& path, int token_bytes)
      : path_(path), token_bytes_(token_bytes), file_(std::fopen(path.c_str(), "wb")) {
    if (file_ == nullptr) failure("{}: cannot be created: {}", path.string(), std::strerror(errno));
    write_header();
  }
  ~ShardFile() {
    if (file_ != nullptr) std::fclose(file_);
  }
  ShardFile(const ShardFile&) = delete;
  ShardFile& operator=(const ShardFile&) = delete;

  int64_t count() const { return count_; }
  void write(const int32_t* ids, int64_t count) {
    if (token_bytes_ == 2) {
      const std::vector<uint16_t> narrow(ids, ids + count);
      put(narrow.data(), narrow.size() * 2);
    } else {
      put(ids, static_cast<size_t>(count) * 4);
    }
    count_ += count;
  }
  void close() {
    if (std::fseek(file_, 0, SEEK_SET) != 0) fail();
    write_header();
    if (std::fclose(std::exchange(file_, nullptr)) != 0) fail();
  }

 private:
  void write_header() {
    ShardHeader header;
    header.token_bytes = static_cast<uint32_t>(token_bytes_);
    header.count = static_cast<uint64_t>(count_);
    put(&header, sizeof header);
  }
  void put(const void* data, size_t bytes) {
    if (std::fwrite(data, 1, bytes, file_) != bytes) fail();
  }
  [[noreturn]] void fail() {
    failure("{}: cannot be written: {}", path_.string(), std::strerror(errno));
  }

  Path path_;
  int token_bytes_;
  std::FILE* file_;
  int64_t count_ = 0;
};

// The shards of one split.
class SplitWriter {
 public:
  SplitWriter(const Path& directory, Split split, int token_bytes, int64_t tokens_per_shard)
      : directory_(directory),
        split_(split),
        token_bytes_(token_bytes),
        tokens_per_shard_(tokens_per_shard) {}

  void append(const std::vector<int32_t>& ids, size_t text_bytes) {
    for (size_t begin = 0; begin < ids.size();) {
      if (!shard_) {
        const Path path = directory_ / shard_name(split_, shards_.size());
        shard_ = std::make_unique<ShardFile>(path, token_bytes_);
      }
      const int64_t room = tokens_per_shard_ - shard_->count();
      const int64_t count = std::min(room, static_cast<int64_t>(ids.size() - begin));
      shard_->write(ids.data() + begin, count);
      begin += static_cast<size_t>(count);
      if (count == room) close_shard();
    }
    ++summary_.documents;
    summary_.tokens += static_cast<int64_t>(ids.size());
    summary_.bytes += static_cast<int64_t>(text_bytes);
  }

  // Closes the last shard; what dataset.json says about the split.
  OrderedJson finish() {
    if (shard_) close_shard();
    return {{"documents", summary_.documents},
            {"tokens", summary_.tokens},
            {"bytes", summary_.bytes},
            {"shards", shards_}};
  }
  const SplitSummary& summary() const { return summary_; }

 private:
  void close_shard() {
    shard_->close();
    shards_.push_back({{"file", shard_name(split_, shards_.size())}, {"tokens", shard_->count()}});
    shard_.reset();
  }

  Path directory_;
  Split split_;
  int token_bytes_;
  int64_t tokens_per_shard_;
  std::unique_ptr<ShardFile> shard_;
  OrderedJson shards_ = OrderedJson::array();
  SplitSummary summary_;
};

// Gathers documents, encodes them in parallel and writes them in their order.
class Builder {
 public:
  Builder(const Tokenizer& tokenizer, const Path& directory, const DatasetOptions& options,
          int token_bytes)
      : tokenizer_(tokenizer),
        valid_fraction_(options.valid_fraction),
        train_(directory, Split::kTrain, token_bytes, options.tokens_per_shard),
        valid_(directory, Split::kValid, token_bytes, options.tokens_per_shard) {}

  void add(std::string_view document) {
    documents_.emplace_back(document);
    batch_bytes_ += document.size();
    if (batch_bytes_ >= kBatchBytes) flush();
  }
  void flush() {
    const auto count = static_cast<int64_t>(documents_.size());
    std::vector<std::vector<int32_t>> ids(documents_.size());
    parallel_for(count, [&](int64_t i) {
      ids[static_cast<size_t>(i)] = encode(documents_[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < documents_.size(); ++i) {
      const bool held_out = document_position(documents_[i]) < valid_fraction_;
      (held_out ? valid_ : train_).append(ids[i], documents_[i].size());
    }
    bytes_ += static_cast<int64_t>(batch_bytes_);
    batch_bytes_ = 0;
    documents_.clear();
  }
  int64_t bytes() const { return bytes_; }
  SplitWriter& train() { return train_; }
  SplitWriter& valid() { return valid_; }

 private:
  std::vector<int32_t> encode(const std::string& document) const {
    std::vector<int32_t> ids = tokenizer_.encode(document);
    const bool bos = tokenizer_.add_bos() && tokenizer_.bos_id() != tokenizer_.eos_id();
    if (bos) ids.insert(ids.begin(), tokenizer_.bos_id());
    ids.push_back(tokenizer_.eos_id());
    return ids;
  }

  const Tokenizer& tokenizer_;
  double valid_fraction_;
  SplitWriter train_, valid_;
  std::vector<std::string> documents_;
  size_t batch_bytes_ = 0;
  int64_t bytes_ = 0;
};

void check(const std::vector<CorpusSource>& sources, const Tokenizer& tokenizer,
           const Path& directory, const DatasetOptions& options) {
  if (sources.empty()) bad_input("dataset: no corpus was given");
  if (!(options.valid_fraction >= 0 && options.valid_fraction < 1)) {
    bad_input("dataset options: valid_fraction {} is out of range [0, 1)", options.valid_fraction);
  }
  if (options.tokens_per_shard < 1) {
    bad_input("dataset options: tokens_per_shard {} is less than 1", options.tokens_per_shard);
  }
  if (tokenizer.eos_id() < 0) {
    bad_input("dataset: the tokenizer has no eos token to end documents with");
  }
  const bool foreign = std::filesystem::exists(directory) &&
                       (!std::filesystem::is_directory(directory) ||
                        (!std::filesystem::is_empty(directory) &&
                         !std::filesystem::exists(directory / "dataset.json")));
  if (foreign) {
    bad_input("{}: exists and is not a dataset; choose another directory", directory.string());
  }
}

void check_not_empty(const std::vector<CorpusSource>& sources, Builder& builder) {
  if (builder.train().summary().documents > 0) return;
  const std::string first = sources[0].file.string();
  if (builder.valid().summary().documents > 0) {
    bad_input("{}: all {} documents were held out; lower valid_fraction", first,
              builder.valid().summary().documents);
  }
  bad_input("{}: the corpus ({} files) has no documents", first, sources.size());
}

OrderedJson sources_json(const std::vector<CorpusSource>& sources) {
  OrderedJson list = OrderedJson::array();
  for (const auto& [file, options] : sources) {
    list.push_back({{"file", file.string()}, {"field", options.field}, {"where", options.where}});
  }
  return list;
}

}  // namespace

DatasetSummary build_dataset(const std::vector<CorpusSource>& sources, const Tokenizer& tokenizer,
                             const Path& directory, const DatasetOptions& options,
                             const std::function<void(int64_t)>& progress) {
  check(sources, tokenizer, directory, options);
  const int token_bytes = tokenizer.vocab_size() <= kMaxVocabOf16Bits ? 2 : 4;
  AtomicDirectory target(directory);
  Builder builder(tokenizer, target.path(), options, token_bytes);
  for (const CorpusSource& source : sources) {
    for_each_document(source.file, source.options, [&](std::string_view document) {
      const int64_t before = builder.bytes();
      builder.add(document);
      if (progress && builder.bytes() != before) progress(builder.bytes());
    });
  }
  builder.flush();
  check_not_empty(sources, builder);
  OrderedJson root = {{"format", kDatasetFormat},
                      {"version", kDatasetVersion},
                      {"vocab_size", tokenizer.vocab_size()},
                      {"token_bytes", token_bytes}};
  root["splits"]["train"] = builder.train().finish();
  root["splits"]["valid"] = builder.valid().finish();
  root["sources"] = sources_json(sources);
  using Handler = OrderedJson::error_handler_t;  // a file's name need not be UTF-8
  write_text(target.path() / "dataset.json", root.dump(1, ' ', false, Handler::replace) + "\n");
  tokenizer.save(target.path());
  target.commit();
  return {
      {builder.train().summary(), builder.valid().summary()}, tokenizer.vocab_size(), token_bytes};
}

}  // namespace trit
