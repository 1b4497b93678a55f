#include "text/tokenizer_gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "base/test_folder.h"
#include "text/splitter.h"

namespace trit {
namespace {

using Ids = std::vector<int32_t>;

const Path kTestData = TRIT_SOURCE_DIR "/src/text/testdata";

Gguf written(const GgufWriter& writer) {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  const Path path = test_folder() / (std::string(info->name()) + ".gguf");
  writer.write(path);
  return Gguf::open(path);
}

TEST(TokenizerGguf, WrittenAndReadIsTheSame) {
  for (const char* style : {"llama3_style", "gpt2_style"}) {
    TokenizerSpec spec = Tokenizer::load(kTestData / style).spec();
    spec.pad_id = 3;
    spec.add_bos = true;
    GgufWriter writer;
    write_tokenizer(writer, Tokenizer(spec, "test"));
    const Tokenizer read = read_tokenizer(written(writer));
    EXPECT_EQ(read.spec().tokens, spec.tokens);
    EXPECT_EQ(read.spec().kinds, spec.kinds);
    EXPECT_EQ(read.spec().merges, spec.merges);
    EXPECT_EQ(read.spec().pattern, spec.pattern);
    EXPECT_EQ(read.bos_id(), 0);
    EXPECT_EQ(read.eos_id(), 0);
    EXPECT_EQ(read.pad_id(), 3);
    EXPECT_TRUE(read.add_bos());
    for (const Json& c : parse_json(read_text(kTestData / style / "cases.json"), "cases.json")) {
      EXPECT_EQ(read.encode(c["text"].get<std::string>(), true), c["ids"].get<Ids>());
    }
  }
}

TEST(TokenizerGguf, SaysWhatTheFormatCannotHold) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "llama3_style").spec();
  spec.pattern = "\\S+|\\s+";
  GgufWriter writer;
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  // Without its merges a token is reached only where merges are ignored.
  spec.pattern = kLlama3Pattern;
  spec.merges.clear();
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  spec.ignore_merges = true;
  write_tokenizer(writer, Tokenizer(spec, "test"));
  EXPECT_EQ(read_tokenizer(written(writer)).spec().merges.size(), 0u);
}

TEST(TokenizerGguf, BadKeysAreErrors) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "llama3_style");
  const auto error_with = [&](const char* key, GgufValue value) -> std::string {
    GgufWriter writer;
    write_tokenizer(writer, tokenizer);
    writer.set(key, std::move(value));
    try {
      read_tokenizer(written(writer));
      return "none";
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find("BadKeysAreErrors.gguf"), std::string::npos);
      return error.what();
    }
  };
  const auto expect = [&](const char* key, GgufValue value, const char* part) {
    const std::string error = error_with(key, std::move(value));
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  using Strings = std::vector<std::string>;
  expect("tokenizer.ggml.model", std::string("llama"), "supported is gpt2");
  expect("tokenizer.ggml.model", 7u, "tokenizer.ggml.model");
  expect("tokenizer.ggml.pre", std::string("qwen2"), "'qwen2'; supported are llama-bpe and gpt-2");
  expect("tokenizer.ggml.tokens", GgufArray(Strings{"a"}), "339 entries for 1 tokens");
  expect("tokenizer.ggml.tokens", GgufArray(Strings(339, "a b")), "byte-level alphabet");
  expect("tokenizer.ggml.token_type", GgufArray(std::vector<int32_t>(339, 2)), "is 2, expected");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"a"}), "is not two tokens");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"a "}), "is not two tokens");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"q z"}), "which is no token");
  expect("tokenizer.ggml.bos_token_id", 339u, "out of range");
  expect("tokenizer.ggml.eos_token_id", uint64_t{1} << 40, "no token id");
  expect("tokenizer.ggml.add_bos_token", 3u, "add_bos_token");
}

TEST(TokenizerGguf, Gpt2VocabularyPassesItsConformanceCases) {
  const char* set = std::getenv("TRIT_DATA_DIR");
  const Path data = set != nullptr ? Path(set) : Path(TRIT_SOURCE_DIR "/../shared");
  const Path path = data / "data/tokenizers/ggml-vocab-gpt-2.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const Tokenizer tokenizer = read_tokenizer(Gguf::open(path));
  EXPECT_EQ(tokenizer.vocab_size(), 50257);
  const std::string input = read_text(path.string() + ".inp");
  std::istringstream output(read_text(path.string() + ".out"));
  constexpr std::string_view kEnd = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t begin = 0, end; (end = input.find(kEnd, begin)) != input.npos; ++cases) {
    const std::string text = input.substr(begin, end - begin);
    begin = end + kEnd.size();
    std::string line;
    ASSERT_TRUE(std::getline(output, line));
    std::istringstream numbers(line);
    const Ids ids{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
  EXPECT_GE(cases, 46);
}

}  // namespace
}  // namespace trit
