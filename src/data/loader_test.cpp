#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

using Ids = std::vector<int32_t>;

TEST(Permuted, IsAPermutationOfAnySize) {
  for (const uint64_t size : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 100u, 1000u, 4097u}) {
    std::set<uint64_t> images;
    for (uint64_t i = 0; i < size; ++i) images.insert(permuted(i, size, 42));
    EXPECT_EQ(images.size(), size);
    EXPECT_EQ(*images.rbegin(), size - 1);
  }
}

TEST(Permuted, KeysGiveUnrelatedOrders) {
  constexpr uint64_t kSize = 1000;
  int agreements = 0, fixed = 0;
  for (uint64_t i = 0; i < kSize; ++i) {
    agreements += permuted(i, kSize, 1) == permuted(i, kSize, 2);
    fixed += permuted(i, kSize, 1) == i;
  }
  EXPECT_LT(agreements, 10);  // one is expected
  EXPECT_LT(fixed, 10);
  // Neighbours do not stay neighbours: the mean distance of two random places is a third.
  double distance = 0;
  for (uint64_t i = 0; i + 1 < kSize; ++i) {
    distance += std::abs(static_cast<double>(permuted(i, kSize, 1)) -
                         static_cast<double>(permuted(i + 1, kSize, 1)));
  }
  EXPECT_NEAR(distance / kSize, kSize / 3.0, kSize / 20.0);
}

// A dataset of the tokens of "abcd...": one document of single bytes.
class LoaderTest : public testing::Test {
 protected:
  static constexpr int64_t kTokens = 101;  // 100 letters and the boundary

  LoaderTest() {
    const Path root = test_folder() / "loader_test";
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root);
    std::string text;
    for (int i = 0; i < 100; ++i) text += static_cast<char>('!' + i % 90);
    write_text(root / "corpus.txt", text);
    TokenizerSpec spec;
    spec.tokens.push_back("<end>");
    for (int byte = 0; byte < 256; ++byte) {
      spec.tokens.push_back(std::string(1, static_cast<char>(byte)));
    }
    spec.kinds.assign(257, TokenKind::kNormal);
    spec.kinds[0] = TokenKind::kSpecial;
    spec.patterns = {"[^\\n]+"};
    spec.eos_id = 0;
    build_dataset({{root / "corpus.txt", {}}}, Tokenizer(spec, "bytes"), root / "dataset",
                  {.valid_fraction = 0, .tokens_per_shard = 17});
    dataset_.emplace(TokenDataset::open(root / "dataset"));
    tokens_.resize(kTokens);
    dataset_->read(Split::kTrain, 0, kTokens, tokens_.data());
  }
  // Inputs, then targets.
  Ids batch(const Loader& loader, int64_t step, size_t size) const {
    Ids ids(2 * size, -1);
    loader.batch(step, ids.data(), ids.data() + size);
    return ids;
  }
  std::optional<TokenDataset> dataset_;
  Ids tokens_;
};

TEST_F(LoaderTest, SamplesAreWindowsWithShiftedTargets) {
  const Loader loader(*dataset_, Split::kTrain, 10, 2, 1);
  EXPECT_EQ(loader.samples_per_epoch(), 10);
  Ids inputs(10), targets(10);
  for (int64_t s = 0; s < 10; ++s) {
    loader.sample(s, inputs.data(), targets.data());
    EXPECT_EQ(inputs, Ids(tokens_.begin() + s * 10, tokens_.begin() + s * 10 + 10));
    EXPECT_EQ(targets, Ids(tokens_.begin() + s * 10 + 1, tokens_.begin() + s * 10 + 11));
  }
  EXPECT_EQ(Loader(*dataset_, Split::kTrain, 11, 1, 1).samples_per_epoch(), 9);
  EXPECT_EQ(Loader(*dataset_, Split::kTrain, 100, 1, 1).samples_per_epoch(), 1);
  EXPECT_EQ(Loader(*dataset_, Split::kTrain, 1, 1, 1).samples_per_epoch(), 100);
}

// The first inputs of the samples of one epoch, in their order.
Ids epoch_order(const Loader& loader, int64_t epoch, int64_t length) {
  Ids order;
  Ids inputs(static_cast<size_t>(length)), targets(inputs.size());
  for (int64_t i = 0; i < loader.samples_per_epoch(); ++i) {
    loader.batch(epoch * loader.samples_per_epoch() + i, inputs.data(), targets.data());
    order.push_back(inputs[0]);
  }
  return order;
}

TEST_F(LoaderTest, EachEpochShowsEverySampleOnceInAnOrderOfItsOwn) {
  const Loader loader(*dataset_, Split::kTrain, 2, 1, 1);
  const Ids first = epoch_order(loader, 0, 2), second = epoch_order(loader, 1, 2);
  EXPECT_NE(first, second);
  EXPECT_NE(first, epoch_order(Loader(*dataset_, Split::kTrain, 2, 1, 2), 0, 2));
  Ids a = first, b = second, all;
  for (size_t i = 0; i < 100; i += 2) all.push_back(tokens_[i]);
  for (Ids* ids : {&a, &b, &all}) std::sort(ids->begin(), ids->end());
  EXPECT_EQ(a, all);
  EXPECT_EQ(b, all);
}

TEST_F(LoaderTest, GivesSomeSequencesOfABatch) {
  const Loader loader(*dataset_, Split::kTrain, 10, 4, 9);
  const Ids whole = batch(loader, 3, 40);
  Ids inputs(20), targets(20);
  loader.batch(3, 1, 2, inputs.data(), targets.data());
  EXPECT_TRUE(std::equal(inputs.begin(), inputs.end(), whole.begin() + 10));
  EXPECT_TRUE(std::equal(targets.begin(), targets.end(), whole.begin() + 40 + 10));
}

TEST_F(LoaderTest, BatchesGoOnAcrossEpochs) {
  const Loader one(*dataset_, Split::kTrain, 10, 1, 9), three(*dataset_, Split::kTrain, 10, 3, 9);
  for (int64_t step = 0; step < 20; ++step) {
    const Ids batch3 = batch(three, step, 30);
    for (int64_t b = 0; b < 3; ++b) {
      const Ids batch1 = batch(one, 3 * step + b, 10);
      EXPECT_TRUE(std::equal(batch1.begin(), batch1.begin() + 10, batch3.begin() + 10 * b));
      EXPECT_TRUE(std::equal(batch1.begin() + 10, batch1.end(), batch3.begin() + 30 + 10 * b));
    }
  }
}

TEST_F(LoaderTest, AResumedRunSeesTheSameBatches) {
  std::vector<Ids> straight;
  {
    const Loader loader(*dataset_, Split::kTrain, 5, 4, 3);
    for (int64_t step = 0; step < 30; ++step) straight.push_back(batch(loader, step, 20));
  }
  const Loader resumed(*dataset_, Split::kTrain, 5, 4, 3);
  for (int64_t step = 17; step < 30; ++step) {
    EXPECT_EQ(batch(resumed, step, 20), straight[static_cast<size_t>(step)]);
  }
}

// The order is part of what a checkpoint means: it must never change.
TEST(Permuted, OrderIsFixedForEver) {
  Ids order;
  for (uint64_t i = 0; i < 12; ++i) order.push_back(static_cast<int32_t>(permuted(i, 12, 2024)));
  EXPECT_EQ(order, (Ids{4, 8, 7, 6, 3, 11, 0, 1, 10, 2, 9, 5}));
}

TEST_F(LoaderTest, BadShapesAreErrors) {
  const auto error_of = [&](Split split, int64_t length, int64_t sequences) -> std::string {
    try {
      Loader(*dataset_, split, length, sequences, 1);
      return "none";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(error_of(Split::kTrain, 100, 1), "none");
  EXPECT_EQ(error_of(Split::kTrain, 101, 1),
            dataset_->directory().string() +
                ": split 'train' has 101 tokens; a sequence of 101 needs one more than that");
  EXPECT_NE(error_of(Split::kValid, 1, 1).find("split 'valid' has 0 tokens"), std::string::npos);
  EXPECT_NE(error_of(Split::kTrain, 0, 1).find("sequence length 0"), std::string::npos);
  EXPECT_NE(error_of(Split::kTrain, 1, 0).find("sequences 0"), std::string::npos);
}

}  // namespace
}  // namespace trit
