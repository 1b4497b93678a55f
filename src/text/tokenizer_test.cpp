#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "text/random_text.h"
#include "text/splitter.h"
#include "text/tokenizer_model.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trit {
namespace {

using namespace std::string_literals;
using Ids = std::vector<int32_t>;

const Path kTestData = TRIT_SOURCE_DIR "/src/text/testdata";

Path fresh_directory(const std::string& name) {
  const Path path = test_folder() / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

Json cases_of(const char* style) {
  return parse_json(read_text(kTestData / style / "cases.json"), "cases.json");
}

// What decode() gives back of `text` in all its tokens: no normal form is undone, SentencePiece
// takes U+2581 for a space, and Metaspace puts no space before one.
std::string decodable(const Tokenizer& tokenizer, std::string text) {
  if (tokenizer.spec().nfc) return to_nfc(text);
  if (tokenizer.spec().model == TokenizerModel::kByteLevel) return text;
  text = without_space_symbols(text);
  const bool bare = tokenizer.spec().space_prefix == SpacePrefix::kStart && text.starts_with(' ');
  return bare ? text.substr(1) : text;
}

class Golden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Styles, Golden,
                         testing::Values("llama3_style", "gpt2_style", "qwen2_style",
                                         "digits_style", "llama2_style", "metaspace_style",
                                         "sentencepiece_style", "tiktoken_style"));

void expect_golden_ids(const Tokenizer& tokenizer, const char* style) {
  for (const Json& c : cases_of(style)) {
    const auto text = c["text"].get<std::string>();
    const auto ids = c["ids"].get<Ids>();
    // The library of SentencePiece takes the names of control tokens for text.
    EXPECT_EQ(tokenizer.encode(text, style != std::string("sentencepiece_style")), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids, false), c["decoded"].get<std::string>());
  }
}

TEST_P(Golden, SameIdsAsTheOriginalLibrary) {
  expect_golden_ids(Tokenizer::load(kTestData / GetParam()), GetParam());
}

TEST_P(Golden, SavedAndLoadedIsTheSame) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / GetParam());
  const Path directory = fresh_directory("tokenizer_saved_"s + GetParam());
  tokenizer.save(directory);
  const Tokenizer again = Tokenizer::load(directory);
  expect_golden_ids(again, GetParam());
  EXPECT_EQ(again.spec().tokens, tokenizer.spec().tokens);
  EXPECT_EQ(again.spec().kinds, tokenizer.spec().kinds);
  if (tokenizer.spec().scores.empty())
    EXPECT_EQ(again.spec().merges, tokenizer.spec().merges);
  else  // tokenizer.json has merges only
    EXPECT_GT(again.spec().merges.size(), 0u);
  EXPECT_EQ(again.spec().patterns, tokenizer.spec().patterns);
  EXPECT_EQ(again.spec().nfc, tokenizer.spec().nfc);
  EXPECT_EQ(again.spec().space_prefix, tokenizer.spec().space_prefix);
  EXPECT_EQ(again.spec().added_options, tokenizer.spec().added_options);
  EXPECT_EQ(again.bos_id(), tokenizer.bos_id());
  EXPECT_EQ(again.eos_id(), tokenizer.eos_id());
  EXPECT_EQ(again.pad_id(), tokenizer.pad_id());
  EXPECT_EQ(again.spec().unk_id, tokenizer.spec().unk_id);
  EXPECT_EQ(again.add_bos(), tokenizer.add_bos());
}

TEST(Tokenizer, BosTemplateAndPadSurviveSaving) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "llama3_style").spec();
  spec.add_bos = true;
  spec.ignore_merges = true;
  spec.pad_id = 5;
  const Path directory = fresh_directory("tokenizer_bos");
  Tokenizer(spec, "test").save(directory);
  for (const bool with_config : {true, false}) {
    if (!with_config) std::filesystem::remove(directory / "tokenizer_config.json");
    const Tokenizer again = Tokenizer::load(directory);
    EXPECT_TRUE(again.add_bos());
    EXPECT_TRUE(again.spec().ignore_merges);
    EXPECT_EQ(again.bos_id(), 0);
    EXPECT_EQ(again.pad_id(), with_config ? 5 : -1);
  }
}

TEST(Tokenizer, SpecialTokensAreTextUnlessAsked) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "gpt2_style");
  const int32_t extra = tokenizer.find("<extra>").value();
  EXPECT_EQ(tokenizer.encode("<|endoftext|>", true), Ids{0});
  const Ids plain = tokenizer.encode("<|endoftext|><extra>");
  EXPECT_GT(plain.size(), 2u);
  EXPECT_EQ(plain.back(), extra);  // an added token that is not special is always cut out
  EXPECT_EQ(tokenizer.decode(plain), "<|endoftext|><extra>");
  EXPECT_EQ(tokenizer.decode(Ids{0, extra, 0}), "<extra>");
  EXPECT_EQ(tokenizer.decode(Ids{0, extra, 0}, false), "<|endoftext|><extra><|endoftext|>");
}

TEST(Tokenizer, TheLongestAddedTokenWins) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "llama3_style").spec();
  const auto first = static_cast<int32_t>(spec.tokens.size());
  for (const char* token : {"<a>", "<a><b>", "é"}) {
    spec.tokens.push_back(token);
    spec.kinds.push_back(TokenKind::kAdded);
  }
  const Tokenizer tokenizer(spec, "test");
  EXPECT_EQ(tokenizer.encode("<a><b><a>é"), (Ids{first + 1, first, first + 2}));
}

TEST_P(Golden, RandomTextComesBackAlsoInAStream) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / GetParam());
  StreamDecoder stream(tokenizer, true, true);
  Rng rng(1);
  for (int i = 0; i < 10000; ++i) {
    const std::string text = random_text(rng, 20);
    const std::string expected = decodable(tokenizer, text);
    const Ids ids = tokenizer.encode(text);
    ASSERT_EQ(tokenizer.decode(ids), expected);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_EQ(valid_utf8_prefix(piece), piece.size());
      streamed += piece;
    }
    ASSERT_EQ(stream.flush(), "");
    ASSERT_EQ(streamed, expected);
  }
}

TEST(Tokenizer, LongWordsGoPastTheCache) {
  for (const char* style : {"llama3_style", "sentencepiece_style"}) {
    const Tokenizer tokenizer = Tokenizer::load(kTestData / style);
    std::string text;
    for (size_t n = 1; n < 60; ++n) text += std::string(n, 'x') + "bo " + std::string(n, ' ');
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    EXPECT_EQ(tokenizer.encode(text), tokenizer.encode(text));
  }
}

TEST(StreamDecoder, BrokenBytesBecomeReplacementCharacters) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "llama3_style");
  const auto byte = [&](char b) { return tokenizer.find(std::string(1, b)).value(); };
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(byte('\xE6')), "");
  EXPECT_EQ(stream.push(byte('\x97')), "");
  EXPECT_EQ(stream.push(0), "");  // a special token says nothing
  EXPECT_EQ(stream.push(byte('\xA5')), "日");
  EXPECT_EQ(stream.push(byte('\xE6')), "");
  EXPECT_EQ(stream.push(byte('a')), "\uFFFDa");
  EXPECT_EQ(stream.push(byte('\xF0')), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
  EXPECT_EQ(StreamDecoder(tokenizer, false).push(0), "<|endoftext|>");
  EXPECT_EQ(tokenizer.decode(Ids{byte('\xF0'), byte('\x9F')}), "\uFFFD");
}

TEST(Tokenizer, FindAndTokenBytes) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "llama3_style");
  EXPECT_EQ(tokenizer.find("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.find(" dog").value()), " dog");
  EXPECT_EQ(tokenizer.find("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.find(""), std::nullopt);
  EXPECT_THROW(tokenizer.token_bytes(-1), Error);
  EXPECT_THROW(tokenizer.decode(Ids{tokenizer.vocab_size()}), Error);
  EXPECT_FALSE(tokenizer.is_special(1 << 30));
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
    return "none";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Tokenizer, BadUtf8IsRefused) {
  const Tokenizer tokenizer = Tokenizer::load(kTestData / "llama3_style");
  EXPECT_EQ(error_of([&] { tokenizer.encode("good \xC3("); }),
            "text: invalid UTF-8 at byte 5 (0xC3); text must be UTF-8");
}

TEST(Tokenizer, PartsThatDoNotFitAreErrors) {
  const TokenizerSpec good = Tokenizer::load(kTestData / "llama3_style").spec();
  const auto error_with = [&](auto&& change) {
    TokenizerSpec spec = good;
    change(spec);
    return error_of([&] { Tokenizer(spec, "t.json"); });
  };
  EXPECT_EQ(error_with([](auto&) {}), "none");
  EXPECT_EQ(error_with([](auto& s) { s.tokens.clear(); }),
            "t.json: 0 tokens and 82 merges; at least 1 and at most 16777216 and 67108864 are "
            "possible");
  EXPECT_EQ(error_with([](auto& s) { s.kinds.pop_back(); }),
            "t.json: 338 token kinds for 339 tokens");
  EXPECT_EQ(error_with([](auto& s) { s.tokens[9] = ""; }), "t.json: token 9 is empty");
  EXPECT_EQ(error_with([](auto& s) { s.tokens[9] = "!"; }), "t.json: tokens 1 and 9 are both '!'");
  EXPECT_EQ(error_with([](auto& s) { s.tokens[1] = "xyz"; }), "t.json: no token for the byte 0x21");
  EXPECT_EQ(error_with([](auto& s) { s.tokens[0] = "a\x80"; }),
            "t.json: added token 0: invalid UTF-8 at byte 1 (0x80); text must be UTF-8");
  EXPECT_EQ(error_with([](auto& s) { s.merges[3].first = -7; }).substr(0, 27),
            "t.json: merge 3 is of -7 an");
  EXPECT_NE(error_with([](auto& s) {
              s.merges[3] = {0, 1};
            }).find("normal tokens"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& s) {
              s.merges[3] = {1, 1};
            }).find("'!!', which is no token"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& s) { s.merges[3] = s.merges[2]; }).find("occurs twice"),
            std::string::npos);
  EXPECT_EQ(error_with([](auto& s) { s.eos_id = 339; }),
            "t.json: eos id 339 is out of range [0, 339)");
  EXPECT_EQ(error_with([](auto& s) { s.bos_id = -1, s.add_bos = true; }),
            "t.json: add_bos is set, but there is no bos");
  EXPECT_NE(error_with([](auto& s) { s.patterns = {"["}; }).find("pattern '['"), std::string::npos);
}

}  // namespace
}  // namespace trit
