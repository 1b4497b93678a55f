#include "data/shards.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/test_folder.h"
#include "base/thread_pool.h"
#include "text/train_bpe.h"

namespace trit {
namespace {

constexpr int kDocuments = 300;

std::string document(int i) {
  return "document " + std::to_string(i) + " says: " + std::string(static_cast<size_t>(i % 7), 'x');
}

std::string corpus_text(int count = kDocuments) {
  std::string text;
  for (int i = 0; i < count; ++i) text += document(i) + "\n<|endoftext|>\n";
  return text;
}

Tokenizer small_tokenizer() {
  TrainBpeOptions options;
  options.vocab_size = 300;
  return train_bpe([](const auto& sink) { sink("document says says xx xxx xxxxxx 12"); }, options);
}

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    write_text(corpus_, corpus_text());
  }
  DatasetSummary build(const DatasetOptions& options = {.valid_fraction = 0.1}) {
    return build_dataset({{corpus_, {}}}, tokenizer_, dataset_, options);
  }
  static std::string error_of(const std::function<void()>& action) {
    try {
      action();
      return "none";
    } catch (const Error& error) {
      return error.what();
    }
  }
  // All tokens of a split, cut at eos and decoded.
  std::vector<std::string> documents_of(const TokenDataset& dataset, Split split) const {
    std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens(split)));
    dataset.read(split, 0, dataset.tokens(split), ids.data());
    std::vector<std::string> documents;
    for (auto begin = ids.begin(); begin != ids.end();) {
      const auto end = std::find(begin, ids.end(), tokenizer_.eos_id());
      documents.push_back(tokenizer_.decode({begin, end}));
      begin = end + 1;
    }
    return documents;
  }

  Tokenizer tokenizer_ = small_tokenizer();
  Path root_ = test_folder() / "shards_test";
  Path corpus_ = root_ / "corpus.txt", dataset_ = root_ / "dataset";
};

TEST_F(Shards, HoldAllDocumentsInOrder) {
  const DatasetSummary summary = build();
  const TokenDataset dataset = TokenDataset::open(dataset_);
  EXPECT_EQ(dataset.vocab_size(), tokenizer_.vocab_size());
  EXPECT_EQ(summary.token_bytes, 2);
  std::vector<std::string> train = documents_of(dataset, Split::kTrain);
  std::vector<std::string> valid = documents_of(dataset, Split::kValid);
  EXPECT_GT(valid.size(), 10u);
  EXPECT_LT(valid.size(), 60u);
  ASSERT_EQ(train.size() + valid.size(), static_cast<size_t>(kDocuments));
  int64_t bytes = 0, t = 0, v = 0;
  for (int i = 0; i < kDocuments; ++i) {
    bytes += static_cast<int64_t>(document(i).size());
    const bool in_train = t < std::ssize(train) && train[static_cast<size_t>(t)] == document(i);
    if (in_train) {
      ++t;
    } else {
      EXPECT_EQ(valid[static_cast<size_t>(v++)], document(i));
    }
  }
  for (const Split split : {Split::kTrain, Split::kValid}) {
    EXPECT_EQ(dataset.tokens(split), summary[split].tokens);
    EXPECT_EQ(dataset.bytes(split), summary[split].bytes);
    EXPECT_EQ(dataset.summary()[split].documents, summary[split].documents);
  }
  EXPECT_EQ(dataset.bytes(Split::kTrain) + dataset.bytes(Split::kValid), bytes);
  EXPECT_EQ(dataset.tokenizer().spec().merges, tokenizer_.spec().merges);
}

TEST_F(Shards, FileIsHeaderAndLittleEndianTokens) {
  write_text(corpus_, "xx");
  build({.valid_fraction = 0});
  const std::string bytes = read_text(dataset_ / "train-00000.bin");
  std::string expected = std::string("TRITTOK1\1\0\0\0\2\0\0\0\2\0\0\0\0\0\0\0", 24);
  expected += std::string(40, '\0');
  const int32_t id = tokenizer_.encode("xx").at(0);
  expected += {static_cast<char>(id & 0xFF), static_cast<char>(id >> 8), '\0', '\0'};
  EXPECT_EQ(bytes, expected);
}

TEST_F(Shards, SplitIntoFilesReadsAlike) {
  build();
  const TokenDataset whole = TokenDataset::open(dataset_);
  dataset_ = root_ / "many";
  build({.valid_fraction = 0.1, .tokens_per_shard = 100});
  const TokenDataset many = TokenDataset::open(dataset_);
  EXPECT_GT(many.shards(Split::kTrain).size(), 5u);
  EXPECT_EQ(many.shards(Split::kTrain)[1].first, 100);
  EXPECT_EQ(documents_of(many, Split::kTrain), documents_of(whole, Split::kTrain));
  int32_t window[150], same[150];
  for (int64_t begin = 0; begin + 150 <= many.tokens(Split::kTrain); begin += 37) {
    many.read(Split::kTrain, begin, 150, window);
    whole.read(Split::kTrain, begin, 150, same);
    ASSERT_EQ(std::memcmp(window, same, sizeof window), 0) << begin;
  }
}

TEST_F(Shards, SplitOfADocumentIsStable) {
  build();
  const auto before = documents_of(TokenDataset::open(dataset_), Split::kValid);
  write_text(root_ / "more.txt", "another document\n<|endoftext|>\n" + document(5));
  build_dataset({{root_ / "more.txt", {}}, {corpus_, {}}}, tokenizer_, dataset_,
                {.valid_fraction = 0.1});
  auto after = documents_of(TokenDataset::open(dataset_), Split::kValid);
  if (after.size() > before.size()) after.erase(after.begin(), after.end() - std::ssize(before));
  EXPECT_EQ(after, before);
}

TEST_F(Shards, WideVocabulariesTakeFourBytes) {
  TokenizerSpec spec = tokenizer_.spec();
  for (int i = 0; spec.tokens.size() < 70000; ++i) {
    spec.tokens.push_back("<reserved " + std::to_string(i) + ">");
    spec.kinds.push_back(TokenKind::kSpecial);
  }
  spec.eos_id = 69999;
  spec.pad_id = -1;
  tokenizer_ = Tokenizer(spec, "wide");
  EXPECT_EQ(build().token_bytes, 4);
  const TokenDataset dataset = TokenDataset::open(dataset_);
  // bos (0) and eos differ here, so every document has both.
  int32_t first = -1, last = -1;
  dataset.read(Split::kTrain, 0, 1, &first);
  dataset.read(Split::kTrain, dataset.tokens(Split::kTrain) - 1, 1, &last);
  EXPECT_EQ(first, 0);
  EXPECT_EQ(last, 69999);
  EXPECT_EQ(documents_of(dataset, Split::kTrain).front(), document(0));
}

TEST_F(Shards, RebuildingReplaces) {
  build();
  write_text(corpus_, corpus_text(100));
  build();
  const TokenDataset dataset = TokenDataset::open(dataset_);
  EXPECT_EQ(dataset.summary()[Split::kTrain].documents + dataset.summary()[Split::kValid].documents,
            100);
}

TEST_F(Shards, BadInputBuildsNothing) {
  const auto error = [&] { return error_of([&] { build(); }); };
  write_text(corpus_, "\n\n");
  EXPECT_EQ(error(), corpus_.string() + ": the corpus (1 files) has no documents");
  write_text(corpus_, "good\n<|endoftext|>\nbad \xFF");
  EXPECT_EQ(error(), corpus_.string() + ":3: invalid UTF-8 at byte 4 (0xFF); text must be UTF-8");
  EXPECT_EQ(error_of([&] { build_dataset({}, tokenizer_, dataset_); }),
            "dataset: no corpus was given");
  EXPECT_FALSE(std::filesystem::exists(dataset_));
  write_text(corpus_, "x");
  EXPECT_NE(error_of([&] { build({.valid_fraction = 0.9999999}); }).find("held out"),
            std::string::npos);
  EXPECT_NE(error_of([&] { build({.valid_fraction = 1}); }).find("valid_fraction 1 "),
            std::string::npos);
  EXPECT_NE(error_of([&] { build({.tokens_per_shard = 0}); }).find("tokens_per_shard 0"),
            std::string::npos);
  std::filesystem::create_directories(dataset_);
  write_text(dataset_ / "letter.txt", "keep me");
  EXPECT_EQ(error(), dataset_.string() + ": exists and is not a dataset; choose another directory");
  EXPECT_TRUE(std::filesystem::exists(dataset_ / "letter.txt"));
  TokenizerSpec spec = tokenizer_.spec();
  spec.eos_id = -1;
  tokenizer_ = Tokenizer(spec, "no eos");
  EXPECT_NE(error().find("no eos token"), std::string::npos);
}

TEST_F(Shards, DamagedDatasetsAreErrors) {
  build();
  const Path index = dataset_ / "dataset.json", shard = dataset_ / "train-00000.bin";
  const std::string good_index = read_text(index), good_shard = read_text(shard);
  const auto index_error = [&](const char* pointer, const Json& value) {
    Json root = parse_json(good_index, "dataset.json");
    root[Json::json_pointer(pointer)] = value;
    write_text(index, root.dump());
    const std::string error = error_of([&] { TokenDataset::open(dataset_); });
    write_text(index, good_index);
    return error.substr(error.find(": ") + 2);
  };
  EXPECT_EQ(index_error("/format", "x"), "format is 'x', not 'trit-dataset'");
  EXPECT_NE(index_error("/version", 2).find("\"version\""), std::string::npos);
  EXPECT_NE(index_error("/vocab_size", 0).find("\"vocab_size\""), std::string::npos);
  EXPECT_EQ(index_error("/token_bytes", 4), "token_bytes is 4; a vocabulary of 263 takes 2");
  EXPECT_EQ(index_error("/splits/valid", 3), "'valid' is missing or of the wrong type");
  EXPECT_EQ(index_error("/splits/train/shards", 3), "'shards' is missing or of the wrong type");
  EXPECT_NE(index_error("/splits/train/tokens", 3).find("'tokens' says 3"), std::string::npos);
  EXPECT_NE(index_error("/splits/train/shards/0/tokens", 3).find("dataset.json says 3"),
            std::string::npos);
  EXPECT_NE(index_error("/splits/train/shards/0/tokens", -1).find("\"tokens\""), std::string::npos);
  const auto shard_error = [&](const std::string& content) {
    write_text(shard, content);
    const std::string error = error_of([&] { TokenDataset::open(dataset_); });
    EXPECT_TRUE(error.starts_with(shard.string())) << error;
    return error.substr(error.find(": ") + 2);
  };
  const auto changed = [&](size_t at, char value) {
    std::string bytes = good_shard;
    bytes[at] = value;
    return bytes;
  };
  EXPECT_EQ(shard_error("short"), "5 bytes are too few for a token shard");
  EXPECT_EQ(shard_error(changed(0, 'X')),
            "magic is 'XRITTOK1'; a token shard begins with TRITTOK1");
  EXPECT_EQ(shard_error(changed(8, 9)), "version is 9; this program reads 1");
  EXPECT_EQ(shard_error(changed(12, 4)), "token_bytes is 4, dataset.json says 2");
  EXPECT_NE(shard_error(changed(23, 1)).find("count is 72"), std::string::npos);
  EXPECT_NE(shard_error(good_shard + "x").find("bytes long"), std::string::npos);
  EXPECT_NE(shard_error(good_shard.substr(0, good_shard.size() - 1)).find("bytes long"),
            std::string::npos);
  std::filesystem::remove(shard);
  EXPECT_NE(error_of([&] { TokenDataset::open(dataset_); }).find(shard.string()),
            std::string::npos);
  EXPECT_THROW(TokenDataset::open(root_ / "nowhere"), Error);
}

TEST_F(Shards, IdsOutOfRangeAreFoundWhenRead) {
  build();
  const Path shard = dataset_ / "train-00000.bin";
  std::string bytes = read_text(shard);
  bytes[64 + 2 * 10 + 1] = '\xFF';  // token 10
  write_text(shard, bytes);
  const TokenDataset dataset = TokenDataset::open(dataset_);
  int32_t ids[10];
  dataset.read(Split::kTrain, 0, 10, ids);
  const std::string error = error_of([&] { dataset.read(Split::kTrain, 5, 10, ids); });
  EXPECT_TRUE(error.starts_with(shard.string() + ": token id 65")) << error;
}

}  // namespace
}  // namespace trit
