// What Tokenizer::load refuses, and the variants of the files that it takes.

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "base/test_folder.h"
#include "text/tokenizer.h"

namespace trit {
namespace {

const Path kFixture = TRIT_SOURCE_DIR "/src/text/testdata/llama3_style";

class TokenizerJson : public testing::Test {
 protected:
  TokenizerJson()
      : root_(parse_json(read_text(kFixture / "tokenizer.json"), "tokenizer.json")),
        config_(parse_json(read_text(kFixture / "tokenizer_config.json"), "config")) {}

  Tokenizer load(const Json& root, const Json& config) {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = test_folder() / (std::string("tokenizer_json_") + info->name());
    std::filesystem::create_directories(directory_);
    write_text(directory_ / "tokenizer.json", root.dump());
    write_text(directory_ / "tokenizer_config.json", config.dump());
    return Tokenizer::load(directory_);
  }
  // The error's text after the name of the file; "" when there is none.
  std::string error_with(const std::function<void(Json& root, Json& config)>& change) {
    Json root = root_, config = config_;
    change(root, config);
    try {
      load(root, config);
      return "";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_TRUE(text.starts_with(directory_.string())) << text;
      return text.substr(text.find(": ") + 2);
    }
  }

  Json root_, config_;
  Path directory_;
};

TEST_F(TokenizerJson, UnsupportedConstructsAreNamed) {
  struct Case {
    const char* pointer;
    Json value;
    const char* error;
  };
  const Case cases[] = {
      {"/normalizer", {{"type", "NFKC"}}, "normalizer 'NFKC' is not supported"},
      {"/model/type", "Unigram", "model type 'Unigram' (only BPE) is not supported"},
      {"/model/byte_fallback", true, "pre_tokenizer 'Sequence' is not supported"},
      {"/model/dropout", 0.1, "dropout is not supported"},
      {"/model/end_of_word_suffix", "</w>", "end_of_word_suffix is not supported"},
      {"/decoder", {{"type", "WordPiece"}}, "decoder 'WordPiece' is not supported"},
      {"/pre_tokenizer", {{"type", "Metaspace"}}, "pre_tokenizer 'Metaspace' is not supported"},
      {"/pre_tokenizer/pretokenizers/0/behavior", "Removed",
       "Split behavior 'Removed' is not supported"},
      {"/pre_tokenizer/pretokenizers/0/invert", true, "an inverted Split is not supported"},
      {"/pre_tokenizer/pretokenizers/0/pattern", Json::object(),
       "a Split whose pattern is neither Regex nor String is not supported"},
      {"/pre_tokenizer/pretokenizers/2",
       {{"type", "Digits"}},
       "a pre_tokenizer after ByteLevel is not supported"},
      {"/pre_tokenizer/pretokenizers/1",
       {{"type", "Digits"}},
       "a pre_tokenizer without ByteLevel is not supported"},
      {"/pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}},
       "a ByteLevel pre-tokenizer without Split and without use_regex is not supported"},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true,
       "add_prefix_space is not supported"},
      {"/pre_tokenizer/pretokenizers/0/type", "Whitespace",
       "pre_tokenizer 'Whitespace' is not supported"},
      {"/post_processor",
       {{"type", "BertProcessing"}},
       "post_processor 'BertProcessing' is not supported"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(error_with([&](Json& root, Json&) { root[Json::json_pointer(c.pointer)] = c.value; }),
              c.error)
        << c.pointer;
  }
}

TEST_F(TokenizerJson, UnsupportedSpacesAreNamed) {
  struct Case {
    const char* pointer;
    Json value;
    const char* error;
  };
  const Json root =
      parse_json(read_text(TRIT_SOURCE_DIR "/src/text/testdata/llama2_style/tokenizer.json"),
                 "tokenizer.json");
  const Case cases[] = {
      {"/normalizer", nullptr, "'pre_tokenizer' is missing or no object"},
      {"/normalizer/normalizers/0/prepend", "_", "Prepend of anything but U+2581 is not supported"},
      {"/normalizer/normalizers/1/content", "_",
       "Replace of anything but spaces by U+2581 is not supported"},
      {"/normalizer/normalizers/1", {{"type", "NFC"}}, "normalizer 'NFC' is not supported"},
      {"/normalizer/normalizers", Json::array(), "'pre_tokenizer' is missing or no object"},
      {"/normalizer/normalizers/2",
       {{"type", "Prepend"}},
       "a normalizer after Replace is not supported"},
      {"/pre_tokenizer",
       {{"type", "Metaspace"}},
       "a pre_tokenizer beside a normalizer of spaces is not supported"},
      {"/decoder/type", "ByteLevel", "decoder 'ByteLevel' is not supported"},
      {"/model/unk_token", "<none>", "unk_token '<none>' is not in vocab"},
      {"/model/vocab/<0x41>", 4000,
       "token '<0x41>' has the id 4000; ids must be 0 ... 400, each once"},
  };
  root_ = root;
  config_ = Json::object();
  for (const Case& c : cases) {
    EXPECT_EQ(error_with([&](Json& r, Json&) { r[Json::json_pointer(c.pointer)] = c.value; }),
              c.error)
        << c.pointer;
  }
  EXPECT_EQ(error_with([](Json& r, Json&) {
              r["normalizer"] = nullptr;
              r["pre_tokenizer"] = {{"type", "Metaspace"}, {"prepend_scheme", "first"}};
            }),
            "a Metaspace that splits is not supported");
}

// What Metaspace gives in `tokenizers` 0.23.
TEST_F(TokenizerJson, MetaspaceAlwaysPutsASpaceAfterAddedTokensToo) {
  root_ = parse_json(read_text(TRIT_SOURCE_DIR "/src/text/testdata/metaspace_style/tokenizer.json"),
                     "tokenizer.json");
  config_ = Json::object();
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(load(root_, config_).encode("a<pad>b<pad> b", true), (Ids{273, 400, 338, 400, 270}));
  root_["pre_tokenizer"]["prepend_scheme"] = "always";
  const Tokenizer tokenizer = load(root_, config_);
  EXPECT_EQ(tokenizer.encode("a<pad>b<pad> b", true), (Ids{273, 400, 270, 400, 270}));
  tokenizer.save(directory_);
  EXPECT_EQ(Tokenizer::load(directory_).spec().space_prefix, SpacePrefix::kEach);
}

TEST_F(TokenizerJson, AStringToSplitAtIsNoPattern) {
  root_["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", "a.[b"}};
  const Tokenizer tokenizer = load(root_, config_);
  EXPECT_EQ(tokenizer.spec().patterns[0], "a\\.\\[b");
}

TEST_F(TokenizerJson, GarbledPartsAreErrors) {
  struct Case {
    const char* pointer;
    Json value;
    const char* error;  // its beginning
  };
  const Case cases[] = {
      {"", Json::array(), "not a JSON object"},
      {"/model", 7, "'model' is missing or no object"},
      {"/model/vocab", nullptr, "'vocab' is missing or no object"},
      {"/model/merges", "x", "'merges' is missing or no array"},
      {"/model/merges/2", Json::array({"a"}), "merge 2 is no pair of tokens"},
      {"/model/merges/2", "ab", "merge 2 is no pair of tokens"},
      {"/model/merges/2", "a zzz", "merge 2 names 'zzz', which is not in vocab"},
      {"/model/vocab/a", 66, "token 'b' has the id 66; ids must be 0 ... 338, each once"},
      {"/model/vocab/a", -1, "token 'a' has the id -1; ids must be 0 ... 338, each once"},
      {"/model/vocab/a", 1e300, "the id of token 'a' is no integer"},
      {"/model/vocab/a", UINT64_MAX, "token 'a' has the id -1"},
      {"/model/vocab/<|endoftext|>", 340, "token '<|endoftext|>' has the id 340 in vocab and 0"},
      {"/model/vocab/日", 340,
       "token '\\xe6\\x97\\xa5' (id 340) is not in the byte-level alphabet"},
      {"/added_tokens", 3, "'added_tokens' is missing or no array"},
      {"/added_tokens/0", 3, "added_tokens holds something else than objects"},
      {"/added_tokens/0/content", "", "an added token is empty"},
      {"/pre_tokenizer", nullptr, "'pre_tokenizer' is missing or no object"},
      {"/pre_tokenizer/pretokenizers", nullptr, "'pretokenizers' is missing or no array"},
      {"/pre_tokenizer/pretokenizers/0", 1, "'1' is no object"},
  };
  for (const Case& c : cases) {
    const std::string error =
        error_with([&](Json& root, Json&) { root[Json::json_pointer(c.pointer)] = c.value; });
    EXPECT_TRUE(error.starts_with(c.error)) << c.pointer << ": " << error;
  }
}

TEST_F(TokenizerJson, ConfigNamesTokens) {
  EXPECT_EQ(error_with([](Json&, Json& c) { c["pad_token"] = "<pad>"; }),
            "pad_token '<pad>' is not in the vocabulary");
  EXPECT_NE(error_with([](Json&, Json& c) { c["eos_token"] = 5; }), "");
  config_["eos_token"] = {{"content", "<|endoftext|>"}};
  config_["bos_token"] = nullptr;
  config_["pad_token"] = "Ġdog";
  const Tokenizer tokenizer = load(root_, config_);
  EXPECT_EQ(tokenizer.eos_id(), 0);
  EXPECT_EQ(tokenizer.bos_id(), -1);
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.pad_id()), " dog");
}

TEST_F(TokenizerJson, MergesAsStringsAreTheSame) {
  const Tokenizer pairs = load(root_, config_);
  for (Json& merge : root_["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  EXPECT_EQ(load(root_, config_).spec().merges, pairs.spec().merges);
}

TEST_F(TokenizerJson, CutAnywhereIsAnErrorAndNoCrash) {
  const std::string text = root_.dump();
  load(root_, config_);
  for (size_t size = 0; size < text.size(); size += 97) {
    write_text(directory_ / "tokenizer.json", text.substr(0, size));
    EXPECT_THROW(Tokenizer::load(directory_), Error) << size;
  }
  EXPECT_THROW(Tokenizer::load(directory_ / "missing"), Error);
}

TEST_F(TokenizerJson, FlippedBytesNeverCrash) {
  const std::string text = root_.dump();
  load(root_, config_);
  for (size_t i = 0; i < text.size(); i += 31) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
    write_text(directory_ / "tokenizer.json", changed);
    try {
      Tokenizer::load(directory_).encode("a dog's 日本語 <|endoftext|> text", true);
    } catch (const Error&) {  // an error is right, and so is a file that is still good
    }
  }
}

}  // namespace
}  // namespace trit
