#include "text/tokenizer_gguf.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

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

void expect_same_ids(const Tokenizer& tokenizer, const char* style, bool parse_special) {
  for (const Json& c : parse_json(read_text(kTestData / style / "cases.json"), "cases.json")) {
    const auto text = c["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, parse_special), c["ids"].get<Ids>()) << style << ": " << text;
  }
}

TEST(TokenizerGguf, WrittenAndReadIsTheSame) {
  for (const char* style : {"llama3_style", "gpt2_style", "qwen2_style", "tiktoken_style"}) {
    TokenizerSpec spec = Tokenizer::load(kTestData / style).spec();
    spec.pad_id = 3;
    spec.bos_id = 0;
    spec.eos_id = 0;
    spec.add_bos = true;
    const auto flags = std::exchange(spec.added_options, {});  // of which GGUF knows nothing
    GgufWriter writer;
    write_tokenizer(writer, Tokenizer(spec, "test"));
    const Tokenizer read = read_tokenizer(written(writer));
    EXPECT_EQ(read.spec().tokens, spec.tokens);
    EXPECT_EQ(read.spec().kinds, spec.kinds);
    EXPECT_EQ(read.spec().merges, spec.merges);
    EXPECT_EQ(read.spec().patterns, spec.patterns);
    EXPECT_EQ(read.spec().nfc, spec.nfc);
    EXPECT_EQ(read.bos_id(), 0);
    EXPECT_EQ(read.eos_id(), 0);
    EXPECT_EQ(read.pad_id(), 3);
    EXPECT_TRUE(read.add_bos());
    if (flags.empty()) expect_same_ids(read, style, true);
  }
}

TEST(TokenizerGguf, SentencePieceWrittenAndReadIsTheSame) {
  // One has scores, the other merges, from which scores are made.
  for (const char* style : {"sentencepiece_style", "llama2_style"}) {
    const TokenizerSpec spec = Tokenizer::load(kTestData / style).spec();
    GgufWriter writer;
    write_tokenizer(writer, Tokenizer(spec, "test"));
    const Gguf file = written(writer);
    EXPECT_EQ(file.get_string("tokenizer.ggml.model"), "llama");
    EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type")[0], 2);
    EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type")[1], 3);
    EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type")[3], 6);
    EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens")[3 + 10], "<0x0A>");
    const Tokenizer read = read_tokenizer(file);
    EXPECT_EQ(read.spec().tokens, spec.tokens);
    EXPECT_EQ(read.spec().kinds, spec.kinds);
    EXPECT_EQ(read.spec().unk_id, 0);
    EXPECT_EQ(read.bos_id(), spec.bos_id);
    EXPECT_EQ(read.spec().space_prefix, SpacePrefix::kAlways);
    expect_same_ids(read, style, style == std::string("llama2_style"));
  }
}

// The file that `tokenizer` makes, without the key or with another value for it.
Gguf rewritten(const Tokenizer& tokenizer, std::string_view key, std::optional<GgufValue> value) {
  GgufWriter whole, changed;
  write_tokenizer(whole, tokenizer);
  const Gguf file = written(whole);
  for (const auto& [name, old] : file.metadata()) {
    if (name != key) changed.set(name, old);
  }
  if (value) changed.set(key, *value);
  return written(changed);
}

TEST(TokenizerGguf, NamesOfPreTokenizers) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "llama3_style");
  const auto spec_of = [&](const char* name) {
    return read_tokenizer(rewritten(tokenizer, "tokenizer.ggml.pre", std::string(name))).spec();
  };
  for (const char* name : {"llama-bpe", "llama3", "llama-v3", "falcon3"}) {
    EXPECT_EQ(spec_of(name).patterns[0], kLlama3Pattern) << name;
    EXPECT_TRUE(spec_of(name).ignore_merges);
  }
  for (const char* name : {"qwen2", "qwen3"}) {
    EXPECT_EQ(spec_of(name).patterns[0], kQwen2Pattern) << name;
    EXPECT_TRUE(spec_of(name).nfc);
    EXPECT_FALSE(spec_of(name).ignore_merges);
  }
  EXPECT_EQ(spec_of("gpt-2").patterns[0], kGpt2Pattern);
  EXPECT_EQ(spec_of("smollm").patterns.size(), 2u);
}

TEST(TokenizerGguf, WithoutAPreTokenizerOnlyLlama3IsTold) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "llama3_style").spec();
  const auto error_of = [](const Gguf& file) -> std::string {
    try {
      return read_tokenizer(file).spec().patterns[0];
    } catch (const Error& error) {
      return error.what();
    }
  };
  const Tokenizer small(spec, "test");
  EXPECT_NE(error_of(rewritten(small, "tokenizer.ggml.pre", std::nullopt))
                .find("tokenizer.ggml.pre is missing, and 339 tokens with bos 0 are not LLaMA-3's"),
            std::string::npos);
  while (spec.tokens.size() < 128256) {
    spec.tokens.push_back(fmt::format("<|reserved_{}|>", spec.tokens.size()));
    spec.kinds.push_back(TokenKind::kSpecial);
  }
  spec.bos_id = 128000;
  const Tokenizer llama3(spec, "test");
  EXPECT_EQ(error_of(rewritten(llama3, "tokenizer.ggml.pre", std::nullopt)), kLlama3Pattern);
}

TEST(TokenizerGguf, SaysWhatTheFormatCannotHold) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "llama3_style").spec();
  spec.patterns = {"\\S+|\\s+"};
  GgufWriter writer;
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  // Without its merges a token is reached only where merges are ignored.
  spec.patterns = {std::string(kLlama3Pattern)};
  spec.merges.clear();
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  spec.ignore_merges = true;
  spec.added_options[0] = {.lstrip = true};
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  spec.added_options.clear();
  write_tokenizer(writer, Tokenizer(spec, "test"));
  EXPECT_EQ(read_tokenizer(written(writer)).spec().merges.size(), 0u);
  // Scores cannot say that a space goes before the start alone, nor that two tokens do not merge.
  spec = Tokenizer::load(kTestData / "metaspace_style").spec();
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
  spec.space_prefix = SpacePrefix::kNone;
  GgufWriter unprefixed;
  write_tokenizer(unprefixed, Tokenizer(spec, "test"));
  EXPECT_EQ(read_tokenizer(written(unprefixed)).spec().space_prefix, SpacePrefix::kNone);
  spec.merges.pop_back();
  EXPECT_THROW(write_tokenizer(writer, Tokenizer(spec, "test")), Error);
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
  expect("tokenizer.ggml.model", std::string("bert"), "supported are gpt2");
  expect("tokenizer.ggml.model", std::string("llama"), "scores' is missing");
  expect("tokenizer.ggml.remove_extra_whitespaces", true,
         "remove_extra_whitespaces is not supported");
  expect("tokenizer.ggml.model", 7u, "tokenizer.ggml.model");
  expect("tokenizer.ggml.pre", std::string("tekken"), "'tekken'; supported are llama-bpe, llama3");
  expect("tokenizer.ggml.tokens", GgufArray(Strings{"a"}), "339 entries for 1 tokens");
  expect("tokenizer.ggml.tokens", GgufArray(Strings(339, "a b")), "byte-level alphabet");
  expect("tokenizer.ggml.token_type", GgufArray(std::vector<int32_t>(339, 6)), "is 6, expected");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"a"}), "is not two tokens");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"a "}), "is not two tokens");
  expect("tokenizer.ggml.merges", GgufArray(Strings{"q z"}), "which is no token");
  expect("tokenizer.ggml.bos_token_id", 339u, "out of range");
  expect("tokenizer.ggml.eos_token_id", uint64_t{1} << 40, "no token id");
  expect("tokenizer.ggml.add_bos_token", 3u, "add_bos_token");
}

}  // namespace
}  // namespace trit
