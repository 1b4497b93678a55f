#include "text/tokenizer_model.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

const Path kTestData = TRIT_SOURCE_DIR "/src/text/testdata";

std::string error_of(std::string_view bytes) {
  try {
    parse_tokenizer_model(bytes, "t");
    return "none";
  } catch (const Error& error) {
    return error.what();
  }
}

// Protocol buffers by hand: a field of bytes, and one with a small number.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string field(int number, int value) {
  std::string key;
  for (int k = number << 3; k > 0; k >>= 7) key += static_cast<char>((k & 0x7F) | (k > 0x7F) << 7);
  return key + static_cast<char>(value);
}
const std::string kTrainer = field(2, field(3, 2));
const std::string kNormalizer = field(3, field(4, 0));

TEST(SentencePieceModel, FieldsOfTheProtobuf) {
  const std::string score = "\x15" + std::string("\x00\x00\x20\xC0", 4);  // -2.5f
  const std::string model =
      field(1, field(1, "<unk>") + field(3, 2)) + field(1, field(1, "\u2581a") + score) +
      field(1, field(1, "<0x0A>") + field(3, 6)) + field(1, field(1, "<sep>") + field(3, 4)) +
      field(2, field(3, 2) + field(41, 7) + field(43, 3)) + kNormalizer;
  const TokenizerSpec spec = parse_tokenizer_model(model, "t");
  EXPECT_EQ(spec.tokens, (std::vector<std::string>{"<unk>", " a", "\n", "<sep>"}));
  EXPECT_EQ(spec.kinds, (std::vector{TokenKind::kSpecial, TokenKind::kNormal, TokenKind::kByte,
                                     TokenKind::kAdded}));
  EXPECT_EQ(spec.scores, (std::vector<float>{0, -2.5f, 0, 0}));
  EXPECT_EQ(spec.unk_id, 0);
  EXPECT_EQ(spec.bos_id, 7);
  EXPECT_EQ(spec.eos_id, 2);
  EXPECT_EQ(spec.pad_id, 3);
  EXPECT_TRUE(spec.add_bos);
  EXPECT_EQ(spec.space_prefix, SpacePrefix::kAlways);
  const std::string bare = field(3, field(3, 0) + field(4, 0));
  EXPECT_EQ(parse_tokenizer_model(field(1, field(1, "a")) + kTrainer + bare, "t").space_prefix,
            SpacePrefix::kNone);
}

TEST(SentencePieceModel, OthersAreRefused) {
  const std::string piece = field(1, field(1, "a"));
  EXPECT_EQ(error_of(piece + kTrainer + kNormalizer), "none");
  EXPECT_EQ(error_of(piece + field(2, field(3, 1)) + kNormalizer),
            "t: SentencePiece model type 1; supported is 2 (BPE)");
  EXPECT_EQ(error_of(piece + kTrainer + field(3, field(2, "map") + field(4, 0))),
            "t: a SentencePiece model that normalizes characters is not supported");
  EXPECT_EQ(error_of(piece + kTrainer + field(3, "")),
            "t: a SentencePiece model that drops blanks or leaves them is not supported");
  EXPECT_EQ(error_of(piece + field(2, field(3, 2) + field(24, 1)) + kNormalizer),
            "t: spaces after words are not supported");
  EXPECT_EQ(error_of(""),
            "t: no SentencePiece model: pieces, trainer_spec or normalizer_spec is missing");
  EXPECT_EQ(error_of(field(1, field(1, "<0x0G>") + field(3, 6))),
            "t: token 0 '<0x0G>' is of type 6, but no byte such as <0x0A>");
  EXPECT_EQ(error_of(field(1, field(1, "a") + field(3, 7))),
            "t: token 0 'a' has the type -1, expected 1 ... 6");
  EXPECT_EQ(error_of("\x0A\x7F"),
            "t: no SentencePiece model: a field of 127 bytes goes past the end");
  EXPECT_EQ(error_of("\x0B"), "t: no SentencePiece model: field 1 has the wire type 3");
  EXPECT_EQ(error_of(std::string(20, '\xFF')),
            "t: no SentencePiece model: a number has more than ten bytes");
}

TEST(SentencePieceModel, CutOrFlippedNeverCrashes) {
  const std::string model = read_text(kTestData / "sentencepiece_style/tokenizer.model");
  for (size_t i = 0; i < model.size(); i += 7) {
    EXPECT_NE(error_of(model.substr(0, i)), "none");
    std::string changed = model;
    changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
    try {
      Tokenizer(parse_tokenizer_model(changed, "t"), "t").encode("a dog's \u65e5\u672c text");
    } catch (const Error&) {  // an error is right, and so is a file that is still good
    }
  }
}

TEST(SentencePieceModel, ASpaceWithoutATokenComesBackToo) {
  TokenizerSpec spec = Tokenizer::load(kTestData / "sentencepiece_style").spec();
  *std::find(spec.tokens.begin() + 259, spec.tokens.end(), " ") = "qq";  // after the bytes
  const Tokenizer tokenizer(spec, "test");
  for (const char* text : {"x", " x", "", " "})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(TiktokenModel, GarbledLinesAreErrors) {
  const std::string good = "IQ== 0\nIg== 1\r\n";
  EXPECT_EQ(parse_tokenizer_model(good, "t").tokens, (std::vector<std::string>{"!", "\""}));
  for (const char* line : {"IQ==", "IQ== x", "IQ== 3", "IQ== 2x", "IQ= 2", "I=== 2", "I.== 2", " 2",
                           "IQ==  2", "IQ== -2"}) {
    EXPECT_EQ(error_of(good + line), "t: line 3 is not a token in base64, a space and the rank 2")
        << line;
  }
}

TEST(TiktokenModel, MergesFollowFromRanks) {
  // a b c ab bc abc: abc is a + bc or ab + c.
  const TokenizerSpec spec =
      parse_tokenizer_model("YQ== 0\nYg== 1\nYw== 2\nYWI= 3\nYmM= 4\nYWJj 5\n", "t");
  using Merges = std::vector<std::pair<int32_t, int32_t>>;
  EXPECT_EQ(spec.merges, (Merges{{0, 1}, {1, 2}, {0, 4}, {3, 2}}));
}

TEST(TokenizerModel, AddedTokensOfTheDirectory) {
  const Path directory = test_folder() / "tokenizer_model";
  std::filesystem::create_directories(directory);
  std::filesystem::copy_file(kTestData / "sentencepiece_style/tokenizer.model",
                             directory / "tokenizer.model");
  const int32_t size = Tokenizer::load(directory).vocab_size();
  write_text(directory / "added_tokens.json", fmt::format(R"({{"<pad>": {}, "<s>": 1}})", size));
  const Tokenizer listed = Tokenizer::load(directory);
  EXPECT_EQ(listed.find("<pad>"), size);
  EXPECT_TRUE(listed.is_special(1));
  EXPECT_EQ(listed.encode("a<pad>").back(), size);
  write_text(directory / "tokenizer_config.json", fmt::format(R"({{"pad_token": "<pad>",
    "added_tokens_decoder": {{"{}": {{"content": "<pad>", "special": true, "lstrip": true}},
                              "1": {{"content": "<start>", "special": true}}}}}})",
                                                              size));
  std::filesystem::remove(directory / "added_tokens.json");
  const Tokenizer configured = Tokenizer::load(directory);
  EXPECT_EQ(configured.pad_id(), size);
  EXPECT_EQ(configured.find("<start>"), 1);
  EXPECT_TRUE(configured.spec().added_options.at(size).lstrip);
  write_text(directory / "tokenizer_config.json",
             R"({"added_tokens_decoder": {"900": {"content": "<far>"}}})");
  EXPECT_THROW(Tokenizer::load(directory), Error);
}

}  // namespace
}  // namespace trit
