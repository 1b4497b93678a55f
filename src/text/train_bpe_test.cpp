#include "text/train_bpe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace trit {
namespace {

const Path kTestData = TRIT_SOURCE_DIR "/src/text/testdata";

DocumentSource documents(std::vector<std::string> texts) {
  return [texts = std::move(texts)](const auto& sink) {
    for (const std::string& text : texts) sink(text);
  };
}

std::vector<std::string> merged_tokens(const Tokenizer& tokenizer) {
  const auto& tokens = tokenizer.spec().tokens;
  return {tokens.begin() + 257, tokens.end()};
}

// "low" 5 times, "lower" 2, "newest" 6, "widest" 3 (the words of Sennrich et al.); the pattern makes
// the line breaks words of their own.
TEST(TrainBpe, MergesAreThoseCountedByHand) {
  std::string text;
  const auto add = [&](const char* word, int count) {
    for (int i = 0; i < count; ++i) text += std::string(word) + "\n";
  };
  add("low", 5), add("lower", 2), add("newest", 6), add("widest", 3);
  TrainBpeOptions options;
  options.vocab_size = 257 + 6;
  const Tokenizer tokenizer = train_bpe(documents({text}), options);
  // e+s and s+t occur 9 times: e < s. es+t 9. l+o and o+w 7: l < o. lo+w 7. n+e, e+w, w+est 6: e is
  // the smallest. n+ew and ew+est 6: n, a byte, comes before ew.
  EXPECT_EQ(merged_tokens(tokenizer),
            (std::vector<std::string>{"es", "est", "lo", "low", "ew", "new"}));
  EXPECT_EQ(tokenizer.vocab_size(), 263);
  EXPECT_EQ(tokenizer.token_bytes(0), "<|endoftext|>");
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 0);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_EQ(tokenizer.token_bytes(1), "!");
  EXPECT_EQ(tokenizer.encode("newest"), (std::vector<int32_t>{262, 258}));
}

// The same text, options and merges as Hugging Face's BpeTrainer.
TEST(TrainBpe, EqualsHuggingFace) {
  const std::string text = read_text(kTestData / "train.txt");
  for (const auto& [style, pattern] :
       {std::pair{"llama3_style", kLlama3Pattern}, {"gpt2_style", kGpt2Pattern}}) {
    const Tokenizer reference = Tokenizer::load(kTestData / style);
    TrainBpeOptions options;
    options.vocab_size = 400;
    options.pattern = pattern;
    const Tokenizer trained = train_bpe(documents({text}), options);
    EXPECT_EQ(trained.spec().merges, reference.spec().merges) << style;
    std::vector<std::string> tokens = reference.spec().tokens;
    tokens.resize(trained.spec().tokens.size());  // less the added token of gpt2_style
    EXPECT_EQ(trained.spec().tokens, tokens) << style;
    EXPECT_TRUE(trained.merges_reach_all_tokens());
  }
}

TEST(TrainBpe, OrderOfDocumentsDoesNotMatter) {
  const std::string text = read_text(kTestData / "train.txt");
  std::vector<std::string> parts;
  for (size_t i = 0; i < text.size(); i = text.find('\n', i) + 1) {
    parts.push_back(text.substr(i, text.find('\n', i) - i));
  }
  const Tokenizer forward = train_bpe(documents(parts), {});
  std::reverse(parts.begin(), parts.end());
  EXPECT_EQ(train_bpe(documents(parts), {}).spec().merges, forward.spec().merges);
}

TEST(TrainBpe, LimitsAndProgress) {
  TrainBpeOptions options;
  options.min_frequency = 3;
  options.max_bytes = 1;  // the second document begins after byte 1
  std::vector<std::string> stages;
  const Tokenizer tokenizer =
      train_bpe(documents({"ab ab ab", "cd cd cd cd"}), options,
                [&](std::string_view stage, int64_t, int64_t) { stages.emplace_back(stage); });
  EXPECT_EQ(merged_tokens(tokenizer), (std::vector<std::string>{"ab"}));
}

TEST(TrainBpe, BadInputIsAnError) {
  const auto error_of = [](const DocumentSource& source, const TrainBpeOptions& options) {
    try {
      train_bpe(source, options);
      return std::string("none");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(error_of(documents({}), {}), "tokenizer training: the corpus has no text");
  EXPECT_EQ(error_of(documents({"a\xFF"}), {}),
            "document for tokenizer training: invalid UTF-8 at byte 1 (0xFF); text must be UTF-8");
  TrainBpeOptions options;
  options.vocab_size = 256;
  EXPECT_EQ(error_of(documents({"a"}), options),
            "tokenizer options: vocab_size 256 is less than 257 (256 bytes and 1 special tokens)");
  options = {.special_tokens = {"<a>", "<a>"}};
  EXPECT_NE(error_of(documents({"a"}), options).find("given twice"), std::string::npos);
  options = {.max_bytes = 0};
  EXPECT_NE(error_of(documents({"a"}), options).find("max_bytes"), std::string::npos);
  options = {.pattern = "("};
  EXPECT_NE(error_of(documents({"a"}), options).find("pattern"), std::string::npos);
}

}  // namespace
}  // namespace trit
